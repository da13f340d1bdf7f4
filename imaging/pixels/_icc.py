"""Recognises sRGB profiles, to avoid a conversion that would cost 80 ns per pixel."""

import struct
from collections.abc import Callable, Mapping
from hashlib import sha256

from cachetools import LRUCache

_PRIMARIES = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
}
"""The primaries of sRGB, adapted to D50 (IEC 61966-2-1, amendment 1), as in every sRGB profile."""
_CURVES = (b"rTRC", b"gTRC", b"bTRC")
_TABLES = {b"A2B0", b"A2B1", b"A2B2"}
_PRIMARY_TOLERANCE, _CURVE_TOLERANCE = 0.002, 0.003
_SAMPLES = (0.0, 0.02, 0.04, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_FIXED = 65536.0


_LARGEST = 64 * 1024
"""Bytes. Profiles of sRGB have 0.5 to 8 kB; larger ones hold tables."""
_known: LRUCache[bytes, bool] = LRUCache(64)
"""What is known about recent profiles, by digest."""


def is_srgb(profile: bytes) -> bool:
    """Whether a profile (ICC.1:2022) describes sRGB, to within one step of 8 bits; False when in doubt."""
    if len(profile) > _LARGEST:
        return False
    digest = sha256(profile).digest()
    if digest not in _known:
        _known[digest] = _describes_srgb(profile)
    return _known[digest]


def grey_curve(profile: bytes) -> Callable[[float], float] | None:
    """The curve of a profile for grey, from samples to light. None for other profiles, and for unusual ones."""
    try:
        tags = _tags(profile)
        if profile[16:20] != b"GRAY" or tags.keys() & _TABLES:
            return None
        tag = tags[b"kTRC"]
        evaluate = _table if tag[:4] == b"curv" else _parametric
        evaluate(tag, 0.5)
    except (struct.error, KeyError, ZeroDivisionError, OverflowError, ValueError, TypeError):
        return None
    return lambda value: evaluate(tag, value)


def _describes_srgb(profile: bytes) -> bool:
    try:
        tags = _tags(profile)
        if profile[16:20] != b"RGB " or tags.keys() & _TABLES:
            return False
        return all(_has_primary(tags[name], wanted) for name, wanted in _PRIMARIES.items()) and all(
            _is_srgb_curve(tags[name]) for name in _CURVES
        )
    except (struct.error, KeyError, ZeroDivisionError, OverflowError, ValueError, TypeError):
        return False


def _tags(profile: bytes) -> Mapping[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100))]
    return {name: profile[start : start + length] for name, start, length in entries}


def _has_primary(tag: bytes, wanted: tuple[float, ...]) -> bool:
    found = [number / _FIXED for number in struct.unpack_from(">3i", tag, 8)]
    return all(abs(a - b) <= _PRIMARY_TOLERANCE for a, b in zip(found, wanted, strict=True))


def _is_srgb_curve(tag: bytes) -> bool:
    evaluate = _table if tag[:4] == b"curv" else _parametric
    return all(abs(evaluate(tag, x) - _to_linear(x)) <= _CURVE_TOLERANCE for x in _SAMPLES)


def _to_linear(x: float) -> float:
    return float(x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004  # IEC 61966-2-1


def _table(tag: bytes, x: float) -> float:
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return x
    if count == 1:
        return float(x ** (struct.unpack_from(">H", tag, 12)[0] / 256))
    place = x * (count - 1)
    index = min(int(place), count - 2)
    below, above = struct.unpack_from(">2H", tag, 12 + 2 * index)
    return float((below + (above - below) * (place - index)) / 65535)


def _parametric(tag: bytes, x: float) -> float:
    """Types 0, 3 and 4 of parametricCurveType, the only ones that sRGB profiles use."""
    kind = struct.unpack_from(">H", tag, 8)[0]
    count = {0: 1, 3: 5, 4: 7}[kind]
    g, *rest = (number / _FIXED for number in struct.unpack_from(f">{count}i", tag, 12))
    if not rest:
        return float(x**g)
    a, b, c, d = rest[:4]
    e, f = rest[4:] or (0.0, 0.0)
    return float((a * x + b) ** g + e if x >= d else c * x + f)
