"""The files that are uploaded: real photos, in as many sizes as there are to be images."""

from dataclasses import dataclass
from pathlib import Path

import pyvips

from measuring.photos import WALLPAPERS, found, written

_LONGEST_SIDE = 2048
_LEAST_SIDE = 1000
"""Sites do not have smaller originals."""
_STEP = 24
"""The difference of copies of a photo in pixels: each is an image of its own for every cache."""
_FORMATS = ("jpeg",) * 16 + ("png",) * 2 + ("webp",) * 2
"""Formats of originals, in turn. HTTP Archive's Media chapter has more PNG, but as icons."""

Colour = tuple[float, float, float]
"""Means of red, green and blue, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A file to upload."""

    file: Path
    format: str
    width: int
    height: int
    mean: Colour
    square_mean: Colour
    """Of the largest square in its centre."""


class Album:
    """Photos by number, written into `folder` if they do not exist. Raises NoPhotos."""

    def __init__(self, folder: Path, wallpapers: Path = WALLPAPERS) -> None:
        self._folder = folder.resolve()
        largest: dict[Path, Path] = {}
        for path in sorted(found(wallpapers), key=lambda path: path.stat().st_size, reverse=True):
            largest.setdefault(path.parent, path)
        self._sources = sorted(largest.values())

    def photo(self, number: int) -> Photo:
        """One photo. There are as many as you like."""
        copy, place = divmod(number, len(self._sources))
        source, side = self._sources[place], max(_LEAST_SIDE, _LONGEST_SIDE - _STEP * copy)
        fmt = _FORMATS[number % len(_FORMATS)]

        def make() -> pyvips.Image:
            image = pyvips.Image.thumbnail(str(source), side, height=side, size="down").colourspace("srgb")
            return image.flatten(background=[255.0]) if image.hasalpha() else image

        path = self._folder / f"{source.parts[-4]}-{source.parts[-2]}-{side}-{copy}.{fmt}"
        image = pyvips.Image.new_from_file(str(written(path, make, **({} if fmt == "png" else {"Q": 85}))))
        square = image.thumbnail_image(64, height=64, crop="centre")
        return Photo(path, fmt, image.width, image.height, mean_colour(image), mean_colour(square))


def mean_colour(image: pyvips.Image) -> Colour:
    """The mean of an sRGB or grey picture. Transparent parts count as white."""
    flat = image.flatten(background=[255.0]) if image.hasalpha() else image
    small = flat.colourspace("srgb").shrink(max(1, flat.width / 32), max(1, flat.height / 32))
    red, green, blue = (small[band].avg() for band in range(3))
    return red, green, blue
