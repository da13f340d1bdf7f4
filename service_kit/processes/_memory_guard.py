"""Ends a worker process whose job takes more memory than it may (docs/adr/0039).

A resource limit would make allocations fail instead, and decoders do not all survive that: some return an image with
pixels missing.
"""

import math
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from service_kit.errors import MemoryExceeded

OUT_OF_MEMORY = 86
"""The exit code of a worker that needs more memory."""
_FASTEST = 6e9
"""Bytes that a decoder can take in a second."""
_INTERVAL = 0.005
"""Seconds between checks if the limit is near: a decoder can take 30 MB in this time."""
_BASE = 64 * 1024**2
"""What a worker may hold in any case: the interpreter and the libraries."""
_PAGE = resource.getpagesize()
_STATM_BYTES = 200


class MemoryGuard:
    """Watches the resident memory of this process. Create it before the sandbox is entered: it opens files."""

    def __init__(self) -> None:
        """Raises OSError if the system has no /proc."""
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        self._clear_refs = os.open("/proc/self/clear_refs", os.O_WRONLY)
        self._limit = math.inf
        self._changed = threading.Event()

    def start(self) -> None:
        """Start the thread that watches."""
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def limit(self, memory: int) -> Iterator[None]:
        """Run a job that may take `memory` bytes. The process ends as soon as it takes more.

        Raises MemoryExceeded if the job took more for so short a time that it ended first.
        """
        limit = _BASE + memory
        os.pwrite(self._clear_refs, b"5", 0)  # the peak becomes what is resident now: see proc_pid_clear_refs(5)
        self._limit = limit
        self._changed.set()
        try:
            yield
        finally:
            self._limit = math.inf
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > limit:
            raise MemoryExceeded

    def _watch(self) -> NoReturn:
        """Look as soon as the job can have reached its limit. To look every 5 ms would cost 1.5 % of a WebP's time."""
        while True:
            self._changed.clear()
            room = self._room()
            if room < 0:
                end_out_of_memory()
            self._changed.wait(_INTERVAL + room / _FASTEST if room < math.inf else None)

    def _room(self) -> float:
        """The bytes that the job may still take. Reads the limit last: it may be that of the next job by then."""
        resident = self.resident()
        return self._limit - resident

    def resident(self) -> int:
        """The resident memory of this process, in bytes."""
        return int(os.pread(self._statm, _STATM_BYTES, 0).split()[1]) * _PAGE


def end_out_of_memory() -> NoReturn:
    """End this worker process, since it cannot go on without more memory."""
    os._exit(OUT_OF_MEMORY)
