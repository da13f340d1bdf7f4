"""What the samples of an image mean as light, where a file says it with numbers instead of an ICC profile.

The code points are those of ITU-T H.273 (07/2024), which PNG (cICP) and AVIF (nclx) use.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

Chromaticity = tuple[float, float]
"""CIE 1931 x and y."""

DEFAULT_PEAK = 1000.0
"""Candelas per square metre of the brightest pixel, if a file does not say (ITU-R BT.2408)."""
_LEAST_Y, _LEAST_AREA = 0.01, 0.001
_D65, _C, _DCI, _E = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351), (1 / 3, 1 / 3)


@dataclass(frozen=True, slots=True)
class Primaries:
    """The chromaticities of white and of the three colours."""

    white: Chromaticity
    red: Chromaticity
    green: Chromaticity
    blue: Chromaticity

    @property
    def possible(self) -> bool:
        """Whether the colours span a triangle around white."""
        white, corners = self.white, (self.red, self.green, self.blue)
        pairs = zip(corners, (*corners[1:], corners[0]), strict=True)
        return white[1] > _LEAST_Y and all(_doubled_area(white, one, other) > _LEAST_AREA for one, other in pairs)


def _doubled_area(a: Chromaticity, b: Chromaticity, c: Chromaticity) -> float:
    """Of a triangle; negative if it runs clockwise."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])


@dataclass(frozen=True, slots=True)
class Transfer:
    """How samples become light. `to_linear` takes and returns values from 0 to 1. Equal names mean equal curves."""

    name: str
    to_linear: Callable[[float], float] = field(compare=False)
    hdr: bool = False
    """Whether 1 is brighter than white. Such an image needs tone mapping."""


@dataclass(frozen=True, slots=True)
class Colours:
    """What a file says about its colours."""

    primaries: Primaries
    transfer: Transfer
    full_range: bool = True
    """Whether the samples use all values. Otherwise black is 16 and white is 235, at 8 bits."""
    full_range_alpha: bool = True
    peak: float = DEFAULT_PEAK
    """For HDR: candelas per square metre of the brightest pixel."""
    beats_profile: bool = False
    """Whether this counts even if the file has an ICC profile."""

    @property
    def is_srgb(self) -> bool:
        """Whether nothing has to be converted."""
        return self.full_range and self.primaries == SRGB_PRIMARIES and self.transfer == SRGB


def gamma(exponent: float) -> Transfer:
    """A power function."""
    return Transfer(f"gamma {exponent}", lambda value: value**exponent)


def _srgb(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4  # noqa: PLR2004  # IEC 61966-2-1


def srgb_sample(light: float) -> float:
    """The sRGB sample of linear light, both from 0 to 1."""
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055  # noqa: PLR2004  # IEC 61966-2-1


def _smpte_240m(value: float) -> float:
    return value / 4 if value < 4 * 0.0228 else ((value + 0.1115) / 1.1115) ** (1 / 0.45)


def _pq(value: float) -> float:
    """SMPTE ST 2084: 1 is 10,000 candelas per square metre."""
    root = value ** (32 / 2523)
    return float((max(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305))


def _hlg(value: float) -> float:
    """ITU-R BT.2100: light of the scene, which the display's own curve still has to be applied to."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return value**2 / 3 if value <= 0.5 else (2.718281828459045 ** ((value - c) / a) + b) / 12  # noqa: PLR2004


SRGB = Transfer("sRGB", _srgb)
PQ = Transfer("PQ", _pq, hdr=True)
HLG = Transfer("HLG", _hlg, hdr=True)
SRGB_PRIMARIES = Primaries(_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_SMPTE_170M = Primaries(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))

_PRIMARIES = {
    1: SRGB_PRIMARIES,
    4: Primaries(_C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: Primaries(_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: _SMPTE_170M,
    7: _SMPTE_170M,
    8: Primaries(_C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: Primaries(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    10: Primaries(_E, (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)),
    11: Primaries(_DCI, *_P3),
    12: Primaries(_D65, *_P3),
    22: Primaries(_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
_TRANSFERS = {
    4: gamma(2.2),
    5: gamma(2.8),
    7: Transfer("SMPTE 240M", _smpte_240m),
    8: Transfer("linear", lambda value: value),
    9: Transfer("logarithmic, 100:1", lambda value: 10 ** (2 * (value - 1)) if value else 0.0),
    10: Transfer("logarithmic, 316:1", lambda value: 10 ** (2.5 * (value - 1)) if value else 0.0),
    16: PQ,
    17: Transfer("SMPTE ST 428-1", lambda value: min(1.0, 52.37 / 48 * value**2.6)),
    18: HLG,
}
"""The curves of cameras (BT.601, BT.709, BT.2020: 1, 6, 11, 12, 14, 15) are missing on purpose. Such images are made to
look right on a display, so browsers show them like sRGB."""


def coded(primaries: int, transfer: int, **options: bool | float) -> Colours:
    """The colours of H.273's code points. What is unspecified or unknown counts as sRGB."""
    return Colours(
        _PRIMARIES.get(primaries, SRGB_PRIMARIES),
        _TRANSFERS.get(transfer, SRGB),
        **options,  # type: ignore[arg-type]
    )
