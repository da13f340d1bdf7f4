"""A memory limit for one service: a control group below that of this process (cgroups(7), both versions)."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_LEAVING_SECONDS = 10


class NoGroup(Exception):
    """A control group could not be made; the text says why."""


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A control group with a limit, while it exists."""

    folder: Path

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before a command that is to run in the group."""
        return ("/bin/sh", "-c", f'echo $$ > "{self.folder}/cgroup.procs" && exec "$@"', "sh")

    @property
    def kills(self) -> int:
        """How many of its processes the kernel killed for lack of memory."""
        match = re.search(r"^oom_kill (\d+)$", self._read("memory.events", "memory.oom_control"), re.MULTILINE)
        if not match:
            raise NoGroup("this kernel does not count oom_kill")
        return int(match[1])

    @property
    def peak(self) -> int:
        """The most bytes that the group used, including page cache; 0 if the kernel does not say."""
        return int(self._read("memory.peak", "memory.max_usage_in_bytes") or 0)

    def _read(self, *names: str) -> str:
        """The first of these files that exists."""
        paths = [self.folder / name for name in names]
        return next((path.read_text() for path in paths if path.exists()), "")


@contextmanager
def memory_group(name: str, limit: int) -> Iterator[MemoryGroup]:
    """Make a group with a limit in bytes. Raises NoGroup."""
    parent, file = _own()
    folder = parent / name
    try:
        folder.mkdir()
        (folder / file).write_text(str(limit))
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        raise NoGroup(f"a memory group could not be made below {parent}: {error.strerror}") from error
    try:
        yield MemoryGroup(folder)
    finally:
        _remove(folder)


def _own() -> tuple[Path, str]:
    """The group of this process, and the file for a group's limit."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            return _ROOT / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
    for _, controllers, path in lines:
        folder = _ROOT / path.lstrip("/")
        enabled = folder / "cgroup.subtree_control"
        if not controllers and enabled.exists() and "memory" in enabled.read_text().split():
            return folder, "memory.max"
    raise NoGroup("the group of this process has no memory controller for groups below it")


def _remove(folder: Path) -> None:
    """Remove a group. The kernel needs a moment after the last process has ended."""
    deadline = time.monotonic() + _LEAVING_SECONDS
    while folder.exists():
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
