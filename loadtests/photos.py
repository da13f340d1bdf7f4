"""The files that are uploaded: real photos from Debian's wallpapers, in as many sizes as there are to be images."""

from dataclasses import dataclass
from pathlib import Path

import pyvips

WALLPAPERS = Path("/usr/share/wallpapers")
PACKAGE = "plasma-workspace-wallpapers"
_SUFFIXES = {".jpg", ".png"}
_LONGEST_SIDE = 2048
_LEAST_SIDE = 1000
"""A smaller original is no photo of a site."""
_STEP = 24
"""Copies of a photo differ in so many pixels: each is an image of its own for every cache."""
_FORMATS = ("jpeg",) * 16 + ("png",) * 2 + ("webp",) * 2
"""Of originals, in turn; HTTP Archive's Media chapter has more PNG, but among icons."""


class NoPhotos(Exception):
    """There is nothing to upload."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One file to upload, and what is known of it."""

    path: Path
    format: str
    width: int
    height: int
    mean: tuple[float, float, float]
    """Of red, green and blue, 0 to 255."""
    square_mean: tuple[float, float, float]
    """Of the largest square in its middle."""


class Album:
    """Photos by number, written below `folder` where they are not there yet."""

    def __init__(self, folder: Path, wallpapers: Path = WALLPAPERS) -> None:
        self._folder = folder
        self._sources = _sources(wallpapers)
        if not self._sources:
            raise NoPhotos(f"no image to seed: there are no photos in {wallpapers}; install Debian's {PACKAGE}")

    def photo(self, number: int) -> Photo:
        """One of them. There is no last."""
        copy, place = divmod(number, len(self._sources))
        source, side = self._sources[place], max(_LEAST_SIDE, _LONGEST_SIDE - _STEP * copy)
        fmt = _FORMATS[number % len(_FORMATS)]
        path = self._folder / f"{source.parts[-4]}-{source.parts[-2]}-{side}-{copy}.{fmt}"
        if not path.exists():
            _write(source, side, path)
        image = pyvips.Image.new_from_file(str(path))
        square = image.thumbnail_image(64, height=64, crop="centre")
        return Photo(path, fmt, image.width, image.height, mean_colour(image), mean_colour(square))


def _sources(wallpapers: Path) -> list[Path]:
    """One file of each wallpaper, the largest."""
    largest: dict[Path, Path] = {}
    for path in sorted(wallpapers.glob("*/contents/images*/*")):
        best = largest.get(path.parent)
        if path.suffix in _SUFFIXES and (best is None or path.stat().st_size > best.stat().st_size):
            largest[path.parent] = path
    return sorted(largest.values())


def _write(source: Path, side: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pyvips.Image.thumbnail(str(source), side, height=side, size="down").colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=[255.0])
    part = path.with_name(f"part-{path.name}")  # one that was interrupted is no photo
    image.write_to_file(str(part), **({} if path.suffix == ".png" else {"Q": 85}))
    part.rename(path)


def mean_colour(image: pyvips.Image) -> tuple[float, float, float]:
    """Of an sRGB or grey picture; transparent parts count as white."""
    flat = image.flatten(background=[255.0]) if image.hasalpha() else image
    small = flat.colourspace("srgb").shrink(max(1, flat.width / 32), max(1, flat.height / 32))
    red, green, blue = (small[band].avg() for band in range(3))
    return red, green, blue
