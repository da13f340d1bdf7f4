"""Observing a request: the log, and the spans of time that it took."""
