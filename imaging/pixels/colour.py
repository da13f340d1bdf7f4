"""Converts colours to what operations work on: 8 bits per band, sRGB or grey, with or without straight alpha."""

from functools import lru_cache
from typing import Any

from imaging.alpha import as_8_bits
from imaging.colours import Colours, srgb_sample
from imaging.icc_profile import profile
from imaging.pixels import tone
from imaging.pixels._icc import grey_curve, is_srgb
from imaging.pixels.vips import pyvips

_SRGB = "srgb"
_GREY = {"b-w", "grey16"}
_DESCRIBED = {*_GREY, _SRGB, "rgb16"}
_COLOURS: dict[Any, int] = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3, "scrgb": 3, "cmyk": 4, "lab": 3, "labs": 3}
"""The bands that have a meaning, by interpretation. One more is alpha, and what follows are masks of other programs."""
_SIXTEEN_BITS: dict[Any, Any] = {"grey16": "b-w", "rgb16": _SRGB}
_PROFILE = "icc-profile-data"
_STEPS = {"uchar": 255, "ushort": 65535}
"""The largest sample, by format."""
_LARGEST_GREY = 64 * 1024
_LARGEST_KEPT = 512 * 1024
"""Bytes. Profiles with tables, of printers and scanners, are larger; those of displays have a few kB."""
_WHOLE = 2.0**-24
"""Takes 32-bit samples to 8 bits."""


def normal(image: pyvips.Image, *, keep_profile: bool) -> pyvips.Image:
    """Convert to the normal form: in sRGB, or in the colours of the embedded profile if that can be kept."""
    if keep_profile and _can_keep_profile(image):
        return eight_bits(_without_masks(image))
    return srgb(image)


def srgb(image: pyvips.Image) -> pyvips.Image:
    """Convert to the normal form: 8-bit sRGB or grey, with the embedded profile if there is one, and straight alpha.

    CMYK without a profile gets libvips' own. Grey stays grey. HDR is tone-mapped. The result has no profile.
    """
    image = _converted(image).copy()
    image.remove(_PROFILE)
    return image


def grey_without_profile(image: pyvips.Image) -> pyvips.Image:
    """An image in grey, in sRGB: its colours may have had another curve."""
    return _grey_again(srgb(image.colourspace(_SRGB))) if image.get_typeof(_PROFILE) else image


def to_profile(image: pyvips.Image, profile: bytes) -> pyvips.Image:
    """Convert an image in the normal form to the colours of a profile for RGB."""
    coloured = image.colourspace(_SRGB).icc_import(input_profile=_SRGB)
    content: Any = profile
    coloured.set_type(pyvips.GValue.blob_type, _PROFILE, content)
    return coloured.icc_export(depth=8)


def profile_of(image: pyvips.Image) -> bytes | None:
    """The profile that an image has."""
    return bytes(image.get(_PROFILE)) if image.get_typeof(_PROFILE) else None  # type: ignore[arg-type]


def _converted(image: pyvips.Image) -> pyvips.Image:
    image = _without_masks(image)
    if tone.is_hdr(image):
        return tone.to_sdr(image)  # type: ignore[no-any-return]
    table = _grey_table_of(image)
    if table is not None:
        return _grey_by_table(image, table)
    if not is_plain(image):
        try:
            fallback = "cmyk" if image.interpretation == "cmyk" else _SRGB
            converted = eight_bits(image.icc_transform(_SRGB, embedded=True, input_profile=fallback))
            return _grey_again(converted) if image.interpretation in _GREY else converted
        except pyvips.Error:  # the profile does not fit the image: ignore it, as browsers do
            pyvips.vips_lib.vips_error_clear()
    return eight_bits(image)


def described(image: pyvips.Image, colours: Colours | None) -> pyvips.Image:
    """Note on an image what its file says about colours besides the ICC profile: as a profile, or as HDR."""
    if colours is None or image.interpretation not in _DESCRIBED:
        return image
    if not colours.full_range_alpha and image.hasalpha():
        image = _full_range(image, alpha=True)
    if not colours.beats_profile and image.get_typeof(_PROFILE):
        return image
    image = image.copy()
    image.remove(_PROFILE)
    if not colours.full_range:
        image = _full_range(image, alpha=False)
    if colours.transfer.hdr:
        return tone.mark(image, colours)  # type: ignore[no-any-return]
    if not colours.is_srgb:
        made: Any = profile(colours, grey=image.interpretation in _GREY)
        image.set_type(pyvips.GValue.blob_type, _PROFILE, made)
    return image


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
    if tone.is_hdr(image):
        return False
    if not image.get_typeof(_PROFILE):
        return bool(image.interpretation != "cmyk")
    plain: bool = image.interpretation == _SRGB and image.format == "uchar"
    return plain and is_srgb(profile_of(image) or b"")


def eight_bits(image: pyvips.Image) -> pyvips.Image:
    """Convert by the image's interpretation, without a profile. Grey stays grey."""
    if image.interpretation in {_SRGB, "b-w"} and image.format == "uint":
        return (image * _WHOLE).cast("uchar")
    if image.interpretation in _SIXTEEN_BITS and image.format == "ushort":  # libvips would truncate
        eight = image.linear([1 / 257], [0.5], uchar=True)
        return eight.copy(interpretation=_SIXTEEN_BITS[image.interpretation])
    if image.interpretation in _GREY:
        return _from_linear_grey(image) if image.format == "float" else image.colourspace("b-w")
    return image if image.interpretation == _SRGB and image.format == "uchar" else image.colourspace(_SRGB)


def _without_masks(image: pyvips.Image) -> pyvips.Image:
    most = _COLOURS.get(image.interpretation, image.bands) + 1
    return image if image.bands <= most else image.extract_band(0, n=most)


def _can_keep_profile(image: pyvips.Image) -> bool:
    """Whether the image has a profile for RGB that is sound and not larger than most results."""
    content = profile_of(image) or b""
    coloured = image.interpretation in {_SRGB, "rgb16"} and content[16:20] == b"RGB " and not tone.is_hdr(image)
    return bool(coloured and len(content) <= _LARGEST_KEPT and _is_sound(content))


def _is_sound(profile: bytes) -> bool:
    try:
        to_profile(pyvips.Image.black(1, 1, bands=3).copy(interpretation=_SRGB), profile).avg()
    except pyvips.Error:
        pyvips.vips_lib.vips_error_clear()
        return False
    return True


def _grey_table_of(image: pyvips.Image) -> pyvips.Image | None:
    content = profile_of(image) or b""
    if image.interpretation not in _GREY or image.format not in _STEPS or not 0 < len(content) <= _LARGEST_GREY:
        return None
    return _grey_table(content, _STEPS[image.format])


@lru_cache(4)
def _grey_table(profile: bytes, largest: int) -> pyvips.Image | None:
    """A look-up table from grey samples to sRGB, of 8 bits. littleCMS would use one with 33 values."""
    curve = grey_curve(profile)
    if curve is None:
        return None
    light = [min(1.0, max(0.0, curve(step / largest))) for step in range(largest + 1)]
    return (
        pyvips.Image.new_from_array([[round(255 * srgb_sample(value)) for value in light]]).cast("uchar").copy_memory()
    )


def _grey_by_table(image: pyvips.Image, table: pyvips.Image) -> pyvips.Image:
    grey = image.extract_band(0).maplut(table).copy(interpretation="b-w")
    if not image.hasalpha():
        return grey
    alpha = image.extract_band(1)
    return grey.bandjoin(as_8_bits(alpha))


def _grey_again(image: pyvips.Image) -> pyvips.Image:
    """One band of grey that a profile has made sRGB, and alpha."""
    if image.bands < 3:  # noqa: PLR2004
        return image
    grey = image.extract_band(1)
    return (grey.bandjoin(image.extract_band(3)) if image.hasalpha() else grey).copy(interpretation="b-w")


def _full_range(image: pyvips.Image, *, alpha: bool) -> pyvips.Image:
    """Stretch the samples of colours, or of alpha, from 16 to 235 (at 8 bits) to all values."""
    unit = 256 if image.format == "ushort" else 1
    most = 256 * unit - 1
    scale = most / (219 * unit)
    count = image.bands - image.hasalpha()
    stretched = [not alpha] * count + [alpha] * (image.bands - count)
    scales = [scale if each else 1.0 for each in stretched]
    offsets = [-16 * unit * scale if each else 0.0 for each in stretched]
    return image.linear(scales, offsets).rint().cast(image.format).copy(interpretation=image.interpretation)


def _from_linear_grey(image: pyvips.Image) -> pyvips.Image:
    """Grey in floating point: linear light from 0 to 1, as libvips understands colours in floating point."""
    grey = image.extract_band(0)
    others: list[Any] = [grey, grey, *([image.extract_band(1)] if image.bands > 1 else [])]
    return grey.bandjoin(others).copy(interpretation="scrgb").colourspace(_SRGB).colourspace("b-w")
