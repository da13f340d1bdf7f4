"""From any colour space to what operations work on: 8 bits a band, sRGB or grey, perhaps with alpha."""

from service_kit.vips import pyvips
from transform_service.icc import is_srgb

_SRGB = "srgb"


def srgb(image: pyvips.Image) -> pyvips.Image:
    """By the embedded profile where there is one; CMYK without one by libvips' own, the rest as it is."""
    if not is_plain(image):
        try:
            profile = "cmyk" if image.bands > 3 else _SRGB  # noqa: PLR2004
            return eight_bits(image.icc_transform(_SRGB, embedded=True, input_profile=profile))
        except pyvips.Error:
            pass  # a profile that does not fit its image: go by the bands alone, as browsers do
    return eight_bits(image)


def is_plain(image: pyvips.Image) -> bool:
    """Whether no profile says that the colours are others than sRGB or grey."""
    if not image.get_typeof("icc-profile-data"):
        return bool(image.interpretation != "cmyk")
    plain: bool = image.interpretation == _SRGB and image.format == "uchar"
    return plain and is_srgb(bytes(image.get("icc-profile-data")))  # type: ignore[arg-type]


def eight_bits(image: pyvips.Image) -> pyvips.Image:
    """Grey stays grey; all else by its interpretation alone."""
    if image.interpretation in {"grey16", "b-w"}:
        return image.colourspace("b-w")
    return image if image.interpretation == _SRGB and image.format == "uchar" else image.colourspace(_SRGB)
