"""Converts colours to what operations work on: 8 bits per band, sRGB or grey, with or without straight alpha."""

from typing import Any

from imaging.pixels._icc import is_srgb
from imaging.pixels.vips import pyvips

_SRGB = "srgb"
_GREY = {"b-w", "grey16"}
_COLOURS: dict[Any, int] = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3, "scrgb": 3, "cmyk": 4, "lab": 3, "labs": 3}
"""The bands that have a meaning, by interpretation. One more is alpha, and what follows are masks of other programs."""
_WHOLE = 2.0**-24
"""Takes 32-bit samples to 8 bits."""


def srgb(image: pyvips.Image) -> pyvips.Image:
    """Convert to the normal form: 8-bit sRGB or grey, with the embedded profile if there is one, and straight alpha.

    CMYK without a profile gets libvips' own. Grey without a profile stays grey.
    """
    image = _without_masks(image)
    if not is_plain(image):
        try:
            profile = "cmyk" if image.interpretation == "cmyk" else _SRGB
            return eight_bits(image.icc_transform(_SRGB, embedded=True, input_profile=profile))
        except pyvips.Error:  # the profile does not fit the image: ignore it, as browsers do
            pyvips.vips_lib.vips_error_clear()
    return eight_bits(image)


def is_supported(image: pyvips.Image) -> bool:
    """Whether `srgb` can convert it. Signed samples have no common meaning."""
    signed = image.format in {"char", "short", "int"} and image.interpretation != "labs"
    return image.interpretation in _COLOURS and image.bands >= _COLOURS[image.interpretation] and not signed


def can_be_scaled(image: pyvips.Image) -> bool:
    """Whether pixels may be mixed before they are converted: libvips understands alpha only of 8-bit images."""
    plain = image.format == "uchar" or (image.format == "ushort" and not image.hasalpha())
    return bool(plain) and image.bands <= _COLOURS.get(image.interpretation, image.bands) + 1


def is_plain(image: pyvips.Image) -> bool:
    """Whether the colours are sRGB or grey already, and no embedded profile says otherwise."""
    if not image.get_typeof("icc-profile-data"):
        return bool(image.interpretation != "cmyk")
    plain: bool = image.interpretation == _SRGB and image.format == "uchar"
    return plain and is_srgb(bytes(image.get("icc-profile-data")))  # type: ignore[arg-type]


def eight_bits(image: pyvips.Image) -> pyvips.Image:
    """Convert by the image's interpretation, without a profile. Grey stays grey."""
    if image.interpretation in {_SRGB, "b-w"} and image.format == "uint":
        return (image * _WHOLE).cast("uchar")
    if image.interpretation in _GREY:
        return _from_linear_grey(image) if image.format == "float" else image.colourspace("b-w")
    return image if image.interpretation == _SRGB and image.format == "uchar" else image.colourspace(_SRGB)


def _without_masks(image: pyvips.Image) -> pyvips.Image:
    most = _COLOURS.get(image.interpretation, image.bands) + 1
    return image if image.bands <= most else image.extract_band(0, n=most)


def _from_linear_grey(image: pyvips.Image) -> pyvips.Image:
    """Grey in floating point: linear light from 0 to 1, as libvips understands colours in floating point."""
    grey = image.extract_band(0)
    others: list[Any] = [grey, grey, *([image.extract_band(1)] if image.bands > 1 else [])]
    return grey.bandjoin(others).copy(interpretation="scrgb").colourspace(_SRGB).colourspace("b-w")
