"""The measured systems, one module each: how it is configured, started and asked."""
