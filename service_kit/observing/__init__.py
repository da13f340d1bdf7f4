"""Observing requests: the log, and the spans of each request."""
