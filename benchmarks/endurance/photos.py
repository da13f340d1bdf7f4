"""Photos of any size and format, made once from wallpapers, and distinct files that show the same."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pyvips

from tests import pictures

FOLDER = Path(__file__).parents[2] / ".cache" / "endurance"
_FLOW = "Flow/contents/images/5120x2880"
"""The photo that is enlarged: smooth, so that 100 MP of it as PNG stay below the limit of an upload."""
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


class NoPhotos(Exception):
    """The package that holds the wallpapers is not installed."""


def large(megapixels: tuple[int, ...]) -> list[Path]:
    """One wallpaper enlarged to each of these sizes, in each of the formats that cost differently."""
    kinds = ("jpg", _PROGRESSIVE, "png", "webp", "avif")
    flow = next(path for path in _wallpapers() if _FLOW in str(path))
    return [_made(flow, size, kind) for size in megapixels for kind in kinds]


def of_size(megapixels: float, kinds: tuple[str, ...], count: int) -> list[Path]:
    """`count` wallpapers, evenly chosen, each of this size and in one of these formats in turn."""
    chosen = _wallpapers()
    chosen = [chosen[n * len(chosen) // count] for n in range(count)]
    return [_made(path, megapixels, kinds[n % len(kinds)]) for n, path in enumerate(chosen)]


def fifteen_megapixels(*, progressive: bool) -> list[Path]:
    """The wallpapers that are JPEG files of 15 MP, as they are; the progressive ones take several times as long."""
    found = [path for path in _wallpapers() if path.name == "5120x2880.jpg"]
    return [path for path in found if progressive or not _is_progressive(path)]


def _is_progressive(path: Path) -> bool:
    return bool(pyvips.Image.new_from_file(os.fspath(path), access="sequential").get_typeof("interlaced"))


def distinct(paths: list[Path], count: int) -> Iterator[bytes]:
    """`count` files that show what `paths` show, each with bytes of its own after its end, which no decoder reads."""
    bodies = [path.read_bytes() for path in paths]
    return (bodies[n % len(bodies)] + n.to_bytes(8, "big") for n in range(count))


def _wallpapers() -> list[Path]:
    found = [path for path in pictures.wallpapers() if "screenshot" not in path.name]
    if not found:
        raise NoPhotos("install Debian's plasma-workspace-wallpapers, which has the photos")
    return found


def _made(source: Path, megapixels: float, kind: str) -> Path:
    name = "-".join(source.with_suffix("").parts[-4:])
    path = FOLDER / f"{name}-{megapixels:g}MP.{kind}"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        image = pyvips.Image.new_from_file(os.fspath(source), access="sequential")
        scale = math.sqrt(megapixels * 999_000 / (image.width * image.height))  # a little below: sides are rounded
        part = path.with_name(f"part-{path.name}")
        image.resize(scale, kernel="linear" if scale > 1 else "lanczos3").write_to_file(
            os.fspath(part), **_OPTIONS[kind]
        )
        part.rename(path)
    return path
