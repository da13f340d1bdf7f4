"""Makes ICC profiles (ICC.1:2022) from primaries and a curve."""

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

from imaging.colours import Chromaticity, Colours, Primaries, Transfer

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

D50: Vector = (0.9642, 1.0, 0.8249)
"""The white of all profiles."""
_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_MOST_ADAPTED = 20
"""How many times more a kind of cones may have to respond. From candlelight to D50, it is 10."""
_TABLE = 4096
_HEADER = struct.Struct(">8xI4s4s4s6H4s28x12s48x")
_VERSION = 0x04400000
_DATE = (2026, 1, 1, 0, 0, 0)


@lru_cache(16)
def profile(colours: Colours, *, grey: bool = False) -> bytes:
    """A profile for RGB, or for grey, which only has the curve."""
    curve = _curve(colours.transfer)
    white = xyz(colours.primaries.white)
    tags = {
        b"desc": _text("colours as the file describes them"),
        b"cprt": _text("no copyright"),
        b"wtpt": _xyz(D50),
        b"chad": b"sf32\0\0\0\0" + _fixed(number for row in adaptation(white, D50) for number in row),
    }
    if grey:
        tags[b"kTRC"] = curve
    else:
        columns = zip(*multiplied(adaptation(white, D50), to_xyz(colours.primaries)), strict=True)
        tags |= {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _assembled(tags, b"GRAY" if grey else b"RGB ")


def xyz(place: Chromaticity) -> Vector:
    """The tristimulus values of a chromaticity, with Y = 1."""
    x, y = place
    return (x / y, 1.0, (1 - x - y) / y)


def to_xyz(primaries: Primaries) -> Matrix:
    """The matrix from linear RGB to XYZ. White has Y = 1."""
    columns = [(x, y, 1 - x - y) for x, y in (primaries.red, primaries.green, primaries.blue)]
    plain: Matrix = tuple(zip(*columns, strict=True))  # type: ignore[assignment]
    weights = applied(inverted(plain), xyz(primaries.white))
    return tuple(tuple(value * weight for value, weight in zip(row, weights, strict=True)) for row in plain)  # type: ignore[return-value]


def adaptation(white: Vector, wanted: Vector) -> Matrix:
    """The matrix that makes one white another one (Bradford). Raises ValueError for what nobody would see as white."""
    before, after = applied(_BRADFORD, white), applied(_BRADFORD, wanted)
    if any(old * _MOST_ADAPTED < new for old, new in zip(before, after, strict=True)):
        raise ValueError
    scaled = tuple(
        tuple(number * new / old for number in row) for row, new, old in zip(_BRADFORD, after, before, strict=True)
    )
    return multiplied(inverted(_BRADFORD), scaled)  # type: ignore[arg-type]


def applied(matrix: Matrix, vector: Vector) -> Vector:
    """A matrix times a vector."""
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)  # type: ignore[return-value]


def multiplied(left: Matrix, right: Matrix) -> Matrix:
    """A matrix times another one."""
    columns = [applied(left, column) for column in zip(*right, strict=True)]
    return tuple(zip(*columns, strict=True))  # type: ignore[return-value]


def inverted(matrix: Matrix) -> Matrix:
    """The inverse of a matrix. Raises ZeroDivisionError if it has none."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    adjugate = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * adjugate[0][0] + b * adjugate[1][0] + c * adjugate[2][0]
    return tuple(tuple(number / determinant for number in row) for row in adjugate)  # type: ignore[return-value]


def _curve(transfer: Transfer) -> bytes:
    values = [round(65535 * min(1.0, max(0.0, transfer.to_linear(n / (_TABLE - 1))))) for n in range(_TABLE)]
    return struct.pack(f">4s4xI{_TABLE}H", b"curv", _TABLE, *values)


def _fixed(numbers: Iterable[float]) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _text(text: str) -> bytes:
    encoded = b"".join(struct.pack(">H", ord(character)) for character in text)  # a codec would have to be imported
    return struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(encoded), 28) + encoded


def _assembled(tags: dict[bytes, bytes], space: bytes) -> bytes:
    start = 128 + 4 + 12 * len(tags)
    table, contents, places = b"", b"", {}
    for name, content in tags.items():
        if content not in places:
            places[content] = start + len(contents)
            contents += content + b"\0" * (-len(content) % 4)
        table += struct.pack(">4sII", name, places[content], len(content))
    head = _HEADER.pack(_VERSION, b"mntr", space, b"XYZ ", *_DATE, b"acsp", _fixed(D50))
    body = head + struct.pack(">I", len(tags)) + table + contents
    return struct.pack(">I", len(body)) + body[4:]
