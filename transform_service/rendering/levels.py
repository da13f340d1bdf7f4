"""Makes levels in a renderer."""

from collections.abc import Mapping
from typing import BinaryIO

from imaging.geometry import Size
from imaging.header import Header
from imaging.levels import save, sizes, smallest_for
from imaging.pixels import vips
from imaging.pixels.decoding import OpenFile
from imaging.pixels.levels import made
from imaging.pixels.vips import pyvips
from service_kit.spool import room_for


def make_levels(source: BinaryIO, header: Header, levels: Mapping[int, BinaryIO]) -> None:
    """Write levels of the image in `source` to new files, by side. Raises the errors of renderer.render."""
    with room_for("the level"), vips.decoding("the image", header.image_format):
        written(OpenFile(vips.mapped(source), header), levels)


def written(file: OpenFile, levels: Mapping[int, BinaryIO]) -> dict[int, pyvips.Image]:
    """Write levels, if there are any, and return their pixels by side. For a context of `vips.decoding`."""
    every = sizes(file.header)
    images = made(file, {side: every[side] for side in levels})
    for side, image in images.items():
        save(image, vips.target(levels[side]), side)
    return images


def smallest(images: Mapping[int, pyvips.Image], target: Size | None) -> pyvips.Image | None:
    """The smallest of these levels that has enough pixels for `target`; None without one."""
    if target is None:
        return None
    side = smallest_for(target, {side: Size(image.width, image.height) for side, image in images.items()})
    return None if side is None else images[side]
