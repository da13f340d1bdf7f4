"""The commands, one per module. Each is imported only if it is named."""
