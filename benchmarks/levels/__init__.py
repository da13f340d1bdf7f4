"""What levels save and cost: smaller copies of stored images, from which renders start."""
