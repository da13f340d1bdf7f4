"""The memory that this process may use, and the memory that it uses."""

import os
from collections.abc import Iterator
from pathlib import Path

from service_kit.processes import _control_groups as control_groups

_NEW = 2
_LIMIT = {1: "memory.limit_in_bytes", _NEW: "memory.max"}


def available_memory() -> int:
    """The machine's memory, or the smallest limit of this process's control groups if that is less, in bytes."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits()])


def used_memory() -> int | None:
    """The memory that this process's control group uses, without cached files, in bytes; None if unknown.

    Active files, which were read more than once, do not count either: the kernel drops them too before it kills
    anything. It cannot drop the files of a tmpfs, so those count.
    """
    for folder, version in control_groups.own("memory"):
        root = control_groups.ROOT if version == _NEW else control_groups.ROOT / "memory"
        own = folder if (folder / _LIMIT[version]).exists() else root  # in a container, the path may be the host's
        try:
            if version == _NEW:
                total, of = int((own / "memory.current").read_text()), ""
            else:
                total, of = int((own / "memory.usage_in_bytes").read_text()), "total_"  # includes the groups below
            stat = dict(line.split() for line in (own / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        return total - sum(int(stat.get(f"{of}{kind}_file", 0)) for kind in ("active", "inactive"))
    return None


def resident_bytes(pid: int) -> int:
    """The resident memory of a process in bytes, including shared memory; 0 if it does not exist."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _limits() -> Iterator[int]:
    for folder, version in control_groups.own("memory"):
        for group in control_groups.around(folder):
            try:
                text = (group / _LIMIT[version]).read_text().strip()
            except OSError:
                continue
            if text.isdigit():  # cgroup 2 says "max" if there is no limit
                yield int(text)
