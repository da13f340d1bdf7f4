"""How much memory this process may use: the machine's, or what its control group leaves of it."""

import os
from collections.abc import Iterator
from pathlib import Path

from service_kit import control_groups

_NEW = 2
_LIMIT = {1: "memory.limit_in_bytes", _NEW: "memory.max"}


def available_memory() -> int:
    """Bytes: the least of the machine's memory and the limits of all control groups around this process."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits()])


def used_memory() -> int | None:
    """Bytes that this process's control group holds, without cached files; None where that is not known.

    Files that are read again are active, and are dropped as well before anything is killed. Those of a tmpfs cannot be:
    they are in use.
    """
    for folder, version in control_groups.own("memory"):
        root = control_groups.ROOT if version == _NEW else control_groups.ROOT / "memory"
        own = folder if (folder / _LIMIT[version]).exists() else root  # in a container, the path may be the host's
        try:
            if version == _NEW:
                total, of = int((own / "memory.current").read_text()), ""
            else:
                total, of = int((own / "memory.usage_in_bytes").read_text()), "total_"  # with the groups below
            stat = dict(line.split() for line in (own / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        return total - sum(int(stat.get(f"{of}{kind}_file", 0)) for kind in ("active", "inactive"))
    return None


def resident_bytes(pid: int) -> int:
    """Resident memory of a process, with what it shares; 0 where there is none."""
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
            if text.isdigit():  # cgroup 2 says "max" where there is no limit
                yield int(text)
