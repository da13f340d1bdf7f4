"""Gauges of the room on the disks that a service writes to."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from prometheus_client import Gauge

from service_kit.threads import in_thread

_SECONDS = 1.0
"""For all disks to answer. A network file system may not, and the metrics are needed then."""
_BYTES = Gauge("imgsvc_disk_bytes", "Size of the disk of a folder.", ["of"], multiprocess_mode="mostrecent")
_FREE = Gauge("imgsvc_disk_free_bytes", "Room that a service may use on it.", ["of"], multiprocess_mode="mostrecent")
_INODES = Gauge(
    "imgsvc_disk_inodes", "Files that it may have; not of all file systems.", ["of"], multiprocess_mode="mostrecent"
)
_FREE_INODES = Gauge(
    "imgsvc_disk_free_inodes", "Files that a service may add to it.", ["of"], multiprocess_mode="mostrecent"
)


class Disks:
    """The disks of some folders, by what is in them."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """The keys of `folders` are a closed set: they become a label."""
        self._folders = folders
        self._looking: asyncio.Task[None] | None = None

    async def observe(self) -> None:
        """Update the gauges. They keep their values while a disk does not answer."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(in_thread(self._look))
        await asyncio.wait([self._looking], timeout=_SECONDS)

    def _look(self) -> None:
        for name, folder in self._folders.items():
            with suppress(OSError):  # it does not exist yet
                found = os.statvfs(folder)
                _BYTES.labels(name).set(found.f_blocks * found.f_frsize)
                _FREE.labels(name).set(found.f_bavail * found.f_frsize)
                if found.f_files:
                    _INODES.labels(name).set(found.f_files)
                    _FREE_INODES.labels(name).set(found.f_favail)
