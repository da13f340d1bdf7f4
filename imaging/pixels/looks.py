"""Looks at images; see imaging/looks.py."""

from typing import BinaryIO

from imaging.formats import FORMATS
from imaging.looks import HASH_SIDE, SIDE, Look, Pixel
from imaging.looks import look as look_at
from imaging.pixels import vips
from imaging.pixels.vips import pyvips

_OPAQUE = 255


def look(file: BinaryIO) -> Look:
    """What a PNG looks like. Raises UnprocessableImage if it is damaged."""
    png = FORMATS["png"]
    with vips.decoding("the image", png):
        image = vips.load(vips.mapped(file), png.reader.loader).copy_memory().colourspace("srgb").cast("uchar")
        if not image.hasalpha():
            image = image.bandjoin(_OPAQUE)
        image = _fitted(image, SIDE)
        small = _fitted(image, HASH_SIDE)
        grey = image.flatten(background=[_OPAQUE]).colourspace("b-w")
        square = grey.thumbnail_image(HASH_SIDE, height=HASH_SIDE, size="force").cast("uchar")
        return look_at(_pixels(image), (small.width, small.height, _pixels(small)), [*bytes(square.write_to_memory())])


def _fitted(image: pyvips.Image, side: int) -> pyvips.Image:
    return image.thumbnail_image(side, size="down").copy_memory()


def _pixels(image: pyvips.Image) -> list[Pixel]:
    values = iter(bytes(image.write_to_memory()))
    return list(zip(values, values, values, values, strict=True))
