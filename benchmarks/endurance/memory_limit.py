"""A limit of memory for one service: a control group below that of this process (cgroups(7), both versions)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

_ROOT = Path("/sys/fs/cgroup")
_LEAVING_SECONDS = 10


class NoGroup(Exception):
    """No control group can be made here; the text says why."""


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A control group with a limit, while it exists."""

    folder: Path

    @property
    def prefix(self) -> tuple[str, ...]:
        """What stands in front of a command that is to run in the group."""
        return ("/bin/sh", "-c", f'echo $$ > "{self.folder}/cgroup.procs" && exec "$@"', "sh")

    @property
    def kills(self) -> int:
        """Processes that the kernel has killed in it for want of memory."""
        return self._count("memory.events", "memory.oom_control", "oom_kill")

    @property
    def peak(self) -> int:
        """The most bytes that were charged to it, page cache included; 0 where this kernel does not tell."""
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            with suppress(OSError):
                return int((self.folder / name).read_text())
        return 0

    def _count(self, second: str, first: str, field: str) -> int:
        path = self.folder / second
        text = (path if path.exists() else self.folder / first).read_text()
        match = re.search(rf"^{field} (\d+)$", text, re.MULTILINE)
        if not match:
            raise NoGroup(f"this kernel does not count {field}")
        return int(match[1])


@contextmanager
def memory_group(name: str, limit: int) -> Iterator[MemoryGroup]:
    """A group of this name with a limit in bytes; NoGroup where that cannot be."""
    parent, file = _own()
    folder = parent / name
    try:
        folder.mkdir()
        (folder / file).write_text(str(limit))
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        raise NoGroup(f"no memory group can be made below {parent}: {error.strerror}") from error
    try:
        yield MemoryGroup(folder)
    finally:
        _remove(folder)


def _own() -> tuple[Path, str]:
    """The group that this process is in, and the file that holds a group's limit."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            return _ROOT / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
    for _, controllers, path in lines:
        folder = _ROOT / path.lstrip("/")
        enabled = folder / "cgroup.subtree_control"
        if not controllers and enabled.exists() and "memory" in enabled.read_text().split():
            return folder, "memory.max"
    raise NoGroup("the group of this process hands no memory controller to groups below it")


def _remove(folder: Path) -> None:
    """Gone as soon as the kernel is done with the last process in it."""
    deadline = monotonic() + _LEAVING_SECONDS
    while folder.exists():
        try:
            folder.rmdir()
        except OSError:
            if monotonic() > deadline:
                raise
            sleep(0.05)
