"""The control groups of this process, versions 1 and 2 (cgroups(7)), which limit a container."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def own(controller: str) -> Iterator[tuple[Path, int]]:
    """The folder and the version of this process's group for a controller (`memory`, `cpu`), in each hierarchy."""
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
    """A group and its parents. In a container, the path may be the host's, so the first ones may not exist here."""
    return (group for group in (folder, *folder.parents) if group.is_relative_to(ROOT))
