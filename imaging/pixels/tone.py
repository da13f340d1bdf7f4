"""Shows HDR images (PQ and HLG, ITU-R BT.2100) on displays of today: 8-bit sRGB.

Light is scaled so that the white of paper and captions, 203 candelas per square metre (ITU-R BT.2408), becomes white.
Up to 43 % of that, it stays as it is. What is brighter is compressed by the curve of ITU-R BT.2390, section 5.4.1: a
Hermite spline in PQ. The brightest of the three colours decides, and the others keep their ratio to it, so hues stay.
"""

from functools import lru_cache
from typing import Any

from imaging.alpha import as_8_bits
from imaging.colours import HLG, PQ, SRGB_PRIMARIES, Colours, Primaries
from imaging.icc_profile import adaptation, inverted, multiplied, to_xyz, xyz
from imaging.pixels.vips import pyvips

_TRANSFER, _PRIMARIES, _PEAK = "hdr-transfer", "hdr-primaries", "hdr-peak"
_WHITE, _MOST = 203.0, 10_000.0
"""Candelas per square metre."""
_HLG_PEAK, _SYSTEM_GAMMA = 1000.0, 1.2
"""The reference display of HLG, and its curve (ITU-R BT.2100, table 5). HLG is relative to it, so a file's own peak
does not count: it would make everything brighter or darker."""
_STEPS = 8191
_ROOT = 4
"""Light is looked up by its fourth root, which spaces dark values closely."""
_TRANSFERS = {each.name: each for each in (PQ, HLG)}
_LARGEST = {"uchar": 255, "ushort": 65535}


def mark(image: Any, colours: Colours) -> Any:
    """Note on an image that its samples are HDR, for `to_sdr`."""
    image = image.copy()
    places = (colours.primaries.white, colours.primaries.red, colours.primaries.green, colours.primaries.blue)
    image.set_type(pyvips.GValue.gstr_type, _TRANSFER, colours.transfer.name)
    image.set_type(pyvips.GValue.array_double_type, _PRIMARIES, [number for place in places for number in place])
    image.set_type(pyvips.GValue.gdouble_type, _PEAK, colours.peak)
    return image


def is_hdr(image: Any) -> bool:
    """Whether `mark` has marked it."""
    return bool(image.get_typeof(_TRANSFER))


def to_sdr(image: Any) -> Any:
    """Convert a marked image with 8- or 16-bit samples to 8-bit sRGB or grey. Alpha stays."""
    transfer = _TRANSFERS[image.get(_TRANSFER)]
    peak = _HLG_PEAK if transfer == HLG else min(_MOST, max(_WHITE, image.get(_PEAK)))
    alpha = image.extract_band(image.bands - 1) if image.hasalpha() else None
    colours = image.extract_band(0, n=image.bands - 1) if image.hasalpha() else image
    largest = _LARGEST[image.format]
    grey = colours.bands == 1

    light = colours.maplut(_light(transfer.name, largest))
    if transfer == HLG:
        luminance = light if grey else light.recomb([list(_luminance(image))])
        light = light * luminance ** (_SYSTEM_GAMMA - 1) * peak
    else:
        light = light * _MOST
    brightest = (
        light if grey else light.extract_band(0).bandrank([light.extract_band(1), light.extract_band(2)], index=2)
    )
    place = ((brightest / _MOST) ** (1 / _ROOT) * _STEPS).rint().cast("ushort")
    light = light * place.maplut(_gains(peak))
    light = light.bandjoin([light, light]) if grey else light.recomb([list(row) for row in _to_srgb(image)])
    small = light.copy(interpretation="scrgb").colourspace("srgb")
    small = small.extract_band(1).copy(interpretation="b-w") if grey else small
    if alpha is not None:
        small = small.bandjoin(as_8_bits(alpha))
    small = small.copy()
    for name in (_TRANSFER, _PRIMARIES, _PEAK):  # last, since the alpha band has them too
        small.remove(name)
    return small


@lru_cache(4)
def _light(transfer: str, largest: int) -> Any:
    """A look-up table from samples to light, from 0 to 1."""
    return _table([_TRANSFERS[transfer].to_linear(step / largest) for step in range(largest + 1)])


@lru_cache(4)
def _gains(peak: float) -> Any:
    """A look-up table for what to multiply light by, for each fourth root of it, so that 1 is white."""
    gains = []
    for step in range(_STEPS + 1):
        light = (step / _STEPS) ** _ROOT * _MOST
        gains.append(_compressed(light, peak) / light / _WHITE if step else 1 / _WHITE)
    return _table(gains)


def _compressed(light: float, peak: float) -> float:
    """The curve of BT.2390 for a display that is as bright as white."""
    brightest = _to_pq(peak)
    most = _to_pq(_WHITE) / brightest
    knee = 1.5 * most - 0.5
    value = min(1.0, _to_pq(light) / brightest)
    if value > knee:
        t = (value - knee) / (1 - knee) if knee < 1 else 0.0
        value = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return PQ.to_linear(value * brightest) * _MOST


def _to_pq(light: float) -> float:
    power = (light / _MOST) ** (1305 / 8192)
    return float(((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))


def _primaries(image: Any) -> Primaries:
    numbers = image.get(_PRIMARIES)
    return Primaries(*zip(numbers[::2], numbers[1::2], strict=True))


def _luminance(image: Any) -> Any:
    return to_xyz(_primaries(image))[1]


def _to_srgb(image: Any) -> Any:
    """The matrix from linear RGB to linear sRGB."""
    primaries = _primaries(image)
    adapted = adaptation(xyz(primaries.white), xyz(SRGB_PRIMARIES.white))
    return multiplied(inverted(to_xyz(SRGB_PRIMARIES)), multiplied(adapted, to_xyz(primaries)))


def _table(values: list[float]) -> Any:
    return pyvips.Image.new_from_array([values]).cast("float").copy_memory()
