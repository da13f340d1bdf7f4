"""The control groups around this process, of both versions (cgroups(7)), by which a container is limited."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def own(controller: str) -> Iterator[tuple[Path, int]]:
    """The folder of this process's group for a controller (`memory`, `cpu`), and the version, in each hierarchy."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield ROOT / path.lstrip("/"), 2
        elif controller in controllers.split(","):
            yield ROOT / controller / path.lstrip("/"), 1


def around(folder: Path) -> Iterator[Path]:
    """A group and those that it is in; in a container the first ones may be the host's, and not be there."""
    return (group for group in (folder, *folder.parents) if group.is_relative_to(ROOT))
