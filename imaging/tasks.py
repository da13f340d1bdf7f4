"""The functions of `imaging.pixels` that worker processes run."""

from imaging.header import Header
from service_kit.processes.worker import Task

LOCK_DOWN: Task[None] = Task("imaging.pixels.vips", "lock_down")
RELEASE_MEMORY: Task[None] = Task("imaging.pixels.vips", "release_memory")
READ_HEADER: Task[Header] = Task("imaging.pixels.headers", "read_header")
"""Takes a path, InputLimits, and optionally a page."""
