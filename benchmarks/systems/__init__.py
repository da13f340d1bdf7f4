"""What is measured, one module a system: how it is configured, started, asked and stopped."""
