"""The HTTP API of the transform service."""
