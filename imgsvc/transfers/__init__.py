"""Many images at a time: where they come from, what is done already, and several at once."""
