"""Dispatches jobs: takes them from the queue of the storage service, and gives them to the transform service."""
