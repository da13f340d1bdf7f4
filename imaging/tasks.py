"""The functions of `imaging.pixels` that worker processes run."""

from imaging.header import Header
from imaging.looks import Look
from service_kit.processes.worker import Task

LOCK_DOWN: Task[None] = Task("imaging.pixels.vips", "lock_down")
RELEASE_MEMORY: Task[None] = Task("imaging.pixels.vips", "release_memory")
LOOK: Task[Look] = Task("imaging.pixels.looks", "look", returns=Look)
"""Takes an open PNG file."""
READ_HEADER: Task[Header] = Task("imaging.pixels.headers", "read_header", returns=Header)
"""Takes an open file, InputLimits, and optionally a page."""
READ_HEADER_BYTES = 128 * 1024**2
"""The memory that reading a header may take."""
