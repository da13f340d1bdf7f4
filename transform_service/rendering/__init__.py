"""Runs plans. Only renderers import this room; other processes name its functions as tasks."""
