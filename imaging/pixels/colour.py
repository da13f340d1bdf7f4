"""Converts colours to what operations work on: 8 bits per band, sRGB or grey, with or without alpha."""

from imaging.pixels._icc import is_srgb
from imaging.pixels.vips import pyvips

_SRGB = "srgb"


def srgb(image: pyvips.Image) -> pyvips.Image:
    """Convert to sRGB, with the embedded profile if there is one. CMYK without a profile gets libvips' own.

    Grey without a profile stays grey.
    """
    if not is_plain(image):
        try:
            profile = "cmyk" if image.bands > 3 else _SRGB  # noqa: PLR2004
            return eight_bits(image.icc_transform(_SRGB, embedded=True, input_profile=profile))
        except pyvips.Error:  # the profile does not fit the image: ignore it, as browsers do
            pyvips.vips_lib.vips_error_clear()
    return eight_bits(image)


def is_plain(image: pyvips.Image) -> bool:
    """Whether the colours are sRGB or grey already, and no embedded profile says otherwise."""
    if not image.get_typeof("icc-profile-data"):
        return bool(image.interpretation != "cmyk")
    plain: bool = image.interpretation == _SRGB and image.format == "uchar"
    return plain and is_srgb(bytes(image.get("icc-profile-data")))  # type: ignore[arg-type]


def eight_bits(image: pyvips.Image) -> pyvips.Image:
    """Convert by the image's interpretation, without a profile. Grey stays grey."""
    if image.interpretation in {"grey16", "b-w"}:
        return image.colourspace("b-w")
    return image if image.interpretation == _SRGB and image.format == "uchar" else image.colourspace(_SRGB)
