"""The photo set: real photos that everyone can get, each several times with bytes of its own."""

import importlib.util
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyvips

FORMATS = ("jpeg", "png", "webp", "avif")
EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp", "avif": "avif"}
CONTENT_TYPES = {fmt: f"image/{fmt}" for fmt in FORMATS}

_WALLPAPERS = Path("/usr/share/wallpapers")
_SMALLEST_SIDE = 513
"""The longer side of a photo that thumb=512 makes smaller."""
_CONVERTED = {"webp": 12, "avif": 8}
"""How many photos are converted to the formats in which neither collection has any."""
_DISTINCT = 40
"""Files a format: more than the most clients, so that no two requests under way at once are equal."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One file of the set. Copies of a photo show the same and differ in their bytes."""

    name: str
    format: str
    copy: int
    width: int
    height: int
    path: Path

    @property
    def filename(self) -> str:
        """Its path below the folder of the set."""
        return f"{self.format}/{self.path.name}"

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.width * self.height / 1e6


class NoPhotos(Exception):
    """The packages that hold the photos are not installed."""


def photo_set(folder: Path, formats: Iterable[str], most: int | None = None) -> dict[str, tuple[Photo, ...]]:
    """The photos by format, written below `folder` where they are not there yet; at most `most` photos a format."""
    return {fmt: _copies(folder, fmt, _sources(folder, fmt)[:most]) for fmt in formats}


def _copies(folder: Path, fmt: str, sources: list[Path]) -> tuple[Photo, ...]:
    count = -(-_DISTINCT // len(sources))
    return tuple(_copy(folder, fmt, source, copy) for copy in range(count) for source in sources)


def _copy(folder: Path, fmt: str, source: Path, copy: int) -> Photo:
    """A file that shows what `source` shows; a box named `free` after its end is read by no decoder."""
    name = _name(source)
    path = folder / fmt / f"{name}-{copy}.{EXTENSIONS[fmt]}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes() + struct.pack(">I4s8s", 16, b"free", f"{copy:08}".encode()))
    header = pyvips.Image.new_from_file(str(path))
    return Photo(name, fmt, copy, header.width, header.height, path)


def _name(path: Path) -> str:
    """Autumn/contents/images/2560x1600.jpg is Autumn-images-2560x1600."""
    if _WALLPAPERS not in path.parents:
        return path.stem
    parts = path.relative_to(_WALLPAPERS).with_suffix("").parts
    return "-".join(part for part in parts if part != "contents")


def _sources(folder: Path, fmt: str) -> list[Path]:
    if fmt in _CONVERTED:
        collected = sorted(_collected("jpeg") + _collected("png"))
        step = len(collected) / _CONVERTED[fmt]
        chosen = [collected[int(n * step)] for n in range(_CONVERTED[fmt])]
        return [_converted(folder / "converted", fmt, source) for source in chosen]
    return _collected(fmt)


def _collected(fmt: str) -> list[Path]:
    skimage = importlib.util.find_spec("skimage")
    folders = [_WALLPAPERS, *(Path(place) / "data" for place in (skimage and skimage.submodule_search_locations) or ())]
    found = {path.resolve() for place in folders for path in place.rglob(f"*.{EXTENSIONS[fmt]}")}
    photos = sorted(path for path in found if "screenshot" not in path.name and _longer_side(path) >= _SMALLEST_SIDE)
    if not photos:
        raise NoPhotos("install Debian's plasma-workspace-wallpapers, which has the photos (`make bench` does)")
    return photos


def _longer_side(path: Path) -> int:
    header = pyvips.Image.new_from_file(str(path))
    return int(max(header.width, header.height))


def _converted(folder: Path, fmt: str, source: Path) -> Path:
    path = folder / f"{_name(source)}.{EXTENSIONS[fmt]}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        image = pyvips.Image.new_from_file(str(source), access="sequential")
        part = path.with_name(f"part-{path.name}")
        image.write_to_file(str(part), Q=85, **({"effort": 1} if fmt == "avif" else {}))
        part.rename(path)
    return path


def enlarged(folder: Path, width: int, height: int) -> Path:
    """A baseline JPEG of this size, made from a wallpaper."""
    path = folder / f"enlarged-{width}x{height}.jpg"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        source = max(_collected("jpeg"), key=_longer_side)
        image = pyvips.Image.new_from_file(str(source), access="sequential")
        larger = image.resize(width / image.width, vscale=height / image.height, kernel="linear")
        part = path.with_name(f"part-{path.name}")
        larger.jpegsave(str(part), Q=85)
        part.rename(path)
    return path
