"""Real photos that everyone can get: Debian's plasma-workspace-wallpapers."""

from collections.abc import Callable
from pathlib import Path

import pyvips

WALLPAPERS = Path("/usr/share/wallpapers")
_PACKAGE = "plasma-workspace-wallpapers"


class NoPhotos(Exception):
    """There are no photos."""


def found(*folders: Path, suffixes: tuple[str, ...] = (".jpg", ".png")) -> list[Path]:
    """The photos below these folders, each file once, without previews (`screenshot.png`).

    Raises:
        NoPhotos: there are none.

    """
    paths = {path.resolve() for folder in folders for path in folder.rglob("*") if path.suffix in suffixes}
    photos = sorted(path for path in paths if path.is_file() and "screenshot" not in path.name)
    if not photos:
        places = ", ".join(map(str, folders))
        raise NoPhotos(f"there are no photos in {places}; install Debian's {_PACKAGE}")
    return photos


def opened(path: Path) -> pyvips.Image:
    """A photo, to be read once from top to bottom."""
    return pyvips.Image.new_from_file(str(path), access="sequential")


def size(path: Path) -> tuple[int, int]:
    """Width and height."""
    image = pyvips.Image.new_from_file(str(path))
    return image.width, image.height


def written(path: Path, make: Callable[[], pyvips.Image], **options: object) -> Path:
    """Write an image unless the file exists. An interrupted write leaves no file of that name."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"part-{path.name}")
        make().write_to_file(str(part), **options)
        part.rename(path)
    return path
