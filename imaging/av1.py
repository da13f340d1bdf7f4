"""What the sequence header of an AV1 stream says about colours (AV1 Bitstream Specification 1.0.0, section 5.5)."""

from dataclasses import dataclass

_SEQUENCE_HEADER = 1
_MOST_OBUS = 8
_UNSPECIFIED = 2
_CHOSEN_FOR_EACH_FRAME = 2
_TIERED_LEVEL = 8
_SRGB = (1, 13, 0)


@dataclass(frozen=True, slots=True)
class SequenceColours:
    """H.273's code points, and whether samples use all values."""

    primaries: int
    transfer: int
    full_range: bool


def sequence_colours(obus: bytes) -> SequenceColours | None:
    """What the first sequence header says. None if there is none, or if it is cut off."""
    try:
        for kind, content in _split(obus):
            if kind == _SEQUENCE_HEADER:
                return _colours(_Bits(content))
    except (IndexError, OverflowError):
        pass
    return None


class _Bits:
    """Reads numbers of some bits. Raises IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def read(self, count: int = 1) -> int:
        """An unsigned number, the highest bit first."""
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._place >> 3] >> (7 - (self._place & 7)) & 1
            self._place += 1
        return value

    def skip_uvlc(self) -> None:
        """A number of variable length."""
        zeros = 0
        while not self.read():
            zeros += 1
        self._place += min(zeros, 32)


def _split(data: bytes) -> list[tuple[int, bytes]]:
    """The kinds and contents of OBUs. One without a size reaches to the end."""
    obus: list[tuple[int, bytes]] = []
    place = 0
    while place < len(data) and len(obus) < _MOST_OBUS:
        head = data[place]
        place += 2 if head & 4 else 1
        size, shift = len(data) - place, 0
        if head & 2:
            size = 0
            while True:
                size |= (data[place] & 0x7F) << shift
                place += 1
                shift += 7
                if not data[place - 1] & 0x80:
                    break
        obus.append((head >> 3 & 15, data[place : place + size]))
        place += size
    return obus


def _colours(bits: _Bits) -> SequenceColours:
    profile = bits.read(3)
    bits.read()
    reduced = bits.read()
    if reduced:
        bits.read(5)
    else:
        _skip_operating_points(bits)
    across, down = bits.read(4) + 1, bits.read(4) + 1
    bits.read(across + down)
    if not reduced and bits.read():
        bits.read(7)
    bits.read(3)
    if not reduced:
        _skip_tools(bits)
    bits.read(3)
    return _colour_config(bits, profile)


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.read():
        bits.read(64)
        if bits.read():
            bits.skip_uvlc()
        if bits.read():
            delay_bits = bits.read(5) + 1
            bits.read(42)
    delayed = bits.read()
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) >= _TIERED_LEVEL:
            bits.read()
        if delay_bits and bits.read():
            bits.read(2 * delay_bits + 1)
        if delayed and bits.read():
            bits.read(4)


def _skip_tools(bits: _Bits) -> None:
    bits.read(4)
    ordered = bits.read()
    if ordered:
        bits.read(2)
    forced = _CHOSEN_FOR_EACH_FRAME if bits.read() else bits.read()
    if forced and not bits.read():
        bits.read()
    if ordered:
        bits.read(3)


def _colour_config(bits: _Bits, profile: int) -> SequenceColours:
    deep = bits.read()
    if profile == 2 and deep:  # noqa: PLR2004
        bits.read()
    grey = profile != 1 and bits.read()
    codes = (bits.read(8), bits.read(8), bits.read(8)) if bits.read() else (_UNSPECIFIED,) * 3
    full_range = bool(not grey and codes == _SRGB) or bool(bits.read())
    return SequenceColours(codes[0], codes[1], full_range)
