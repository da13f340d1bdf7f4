"""The photos of the benchmarks: real ones, several times with bytes of their own, and others made from them."""

import importlib.util
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.product import EXTENSIONS, pyvips
from measuring.photos import WALLPAPERS, found, opened, size, written

T = TypeVar("T")
FORMATS = ("jpeg", "png", "webp", "avif")
FOLDER = Path(__file__).parent / ".photos"
_MADE = FOLDER / "made"
_SMALLEST_SIDE = 513
"""The longer side of a photo that thumb=512 makes smaller."""
_CONVERTED = {"webp": 12, "avif": 8}
"""How many photos are converted to the formats that neither collection has."""
_DISTINCT = 40
"""Files per format: more than the most clients, so no two requests in progress are equal."""
_PROGRESSIVE = "progressive.jpg"
_OPTIONS: dict[str, dict[str, object]] = {
    "jpg": {"Q": 85},
    _PROGRESSIVE: {"Q": 85, "interlace": True},
    "webp": {"Q": 80, "effort": 0},
    "avif": {"Q": 60, "effort": 0},
    "png": {"compression": 6, "filter": "all"},
    "gif": {"effort": 1},
    "tiff": {"compression": "deflate"},
}


@dataclass(frozen=True, slots=True)
class Photo:
    """One file of the set. Copies of a photo show the same picture and differ in their bytes."""

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


def photo_set(formats: Iterable[str], most: int | None = None) -> dict[str, tuple[Photo, ...]]:
    """The photos by format, written if they do not exist; at most `most` photos per format."""
    sets = {}
    for fmt in formats:
        sources = _sources(fmt)[:most]
        sets[fmt] = copies(fmt, sources, -(-_DISTINCT // len(sources)))
    return sets


def copies(fmt: str, sources: Sequence[Path], count: int) -> tuple[Photo, ...]:
    """`count` copies of each of these files, below the folder of the set: all first ones, then all second ones."""
    return tuple(_copy(fmt, source, copy) for copy in range(count) for source in sources)


def _copy(fmt: str, source: Path, copy: int) -> Photo:
    name = _name(source)
    path = FOLDER / fmt / f"{name}-{copy}.{EXTENSIONS[fmt]}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes() + _box(copy))
    return Photo(name, fmt, copy, *size(path), path)


def _box(number: int) -> bytes:
    """A box named `free`, for the end of a file: no decoder reads it, and it makes each copy another file."""
    return struct.pack(">I4s8s", 16, b"free", f"{number:08}".encode())


def _name(path: Path) -> str:
    """Autumn/contents/images/2560x1600.jpg is Autumn-images-2560x1600."""
    if WALLPAPERS not in path.parents:
        return path.stem
    return "-".join(part for part in path.relative_to(WALLPAPERS).with_suffix("").parts if part != "contents")


def _sources(fmt: str) -> list[Path]:
    if fmt not in _CONVERTED:
        return _collected(f".{EXTENSIONS[fmt]}")
    chosen = evenly(_collected(".jpg", ".png"), _CONVERTED[fmt])
    options = {"Q": 85, **({"effort": 1} if fmt == "avif" else {})}
    folder = FOLDER / "converted"
    return [
        written(folder / f"{_name(source)}.{EXTENSIONS[fmt]}", lambda source=source: opened(source), **options)  # type: ignore[misc]
        for source in chosen
    ]


def evenly(paths: Sequence[T], count: int) -> list[T]:
    """`count` of these, at equal distances."""
    return [paths[n * len(paths) // count] for n in range(count)]


def _collected(*suffixes: str) -> list[Path]:
    """Photos of both collections that are large enough: the wallpapers, and those in scikit-image's wheel."""
    skimage = importlib.util.find_spec("skimage")
    data = [Path(place) / "data" for place in (skimage and skimage.submodule_search_locations) or ()]
    return [path for path in found(WALLPAPERS, *data, suffixes=suffixes) if max(size(path)) >= _SMALLEST_SIDE]


def enlarged(width: int, height: int) -> Path:
    """A baseline JPEG of this size, made from the largest wallpaper."""

    def make() -> pyvips.Image:
        image = opened(max(_collected(".jpg"), key=lambda path: max(size(path))))
        return image.resize(width / image.width, vscale=height / image.height, kernel="linear")

    return written(_MADE / f"enlarged-{width}x{height}.jpg", make, Q=85)


def large(megapixels: Iterable[int]) -> list[Path]:
    """One wallpaper enlarged to each of these sizes, in each of the formats whose costs differ.

    The wallpaper is smooth, so that 100 MP of it as PNG stay below the limit of an upload.
    """
    flow = next(path for path in found(WALLPAPERS) if "Flow/contents/images/5120x2880" in str(path))
    return [_scaled(flow, each, kind) for each in megapixels for kind in ("jpg", _PROGRESSIVE, "png", "webp", "avif")]


def of_size(megapixels: float, kinds: Sequence[str], count: int) -> list[Path]:
    """`count` wallpapers, evenly chosen, each of this size and in one of these formats in turn."""
    chosen = evenly(found(WALLPAPERS), count)
    return [_scaled(path, megapixels, kinds[n % len(kinds)]) for n, path in enumerate(chosen)]


def fifteen_megapixels(*, progressive: bool) -> list[Path]:
    """The wallpapers that are JPEG files of 15 MP. Progressive ones take several times as long."""
    jpegs = [path for path in found(WALLPAPERS) if path.name == "5120x2880.jpg"]
    return [path for path in jpegs if progressive or not opened(path).get_typeof("interlaced")]


def distinct(paths: Sequence[Path], count: int, first: int = 0) -> Iterator[bytes]:
    """`count` different files that show what `paths` show. Those with other numbers, from `first`, are others."""
    bodies = [path.read_bytes() for path in paths]
    return (bodies[n % len(bodies)] + _box(first + n) for n in range(count))


def _scaled(source: Path, megapixels: float, kind: str) -> Path:
    def make() -> pyvips.Image:
        image = opened(source)
        scale = math.sqrt(megapixels * 999_000 / (image.width * image.height))  # a little below: sides are rounded
        return image.resize(scale, kernel="linear" if scale > 1 else "lanczos3")

    return written(_MADE / f"{_name(source)}-{megapixels:g}MP.{kind}", make, **_OPTIONS[kind])
