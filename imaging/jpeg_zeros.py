"""What a run of zeros means in the entropy-coded data of a JPEG (ISO 10918-1, annexes B and F).

It may be an area of one colour, padding, or a hole.
"""

import struct
from dataclasses import dataclass
from mmap import mmap

from imaging import jpeg_segments as jpeg

Tables = dict[int, tuple[int, int]]
"""The bits of the code that consists of zeros, and its symbol, by class and number of a Huffman table."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The contents of a start-of-frame segment (B.2.2)."""

    marker: int
    width: int
    height: int
    samplings: dict[int, tuple[int, int]]
    """Across and down, by component."""

    @property
    def mcus(self) -> int:
        """The number of minimum coded units, if all components are in one scan (A.2.4)."""
        across = 8 * max(h for h, _ in self.samplings.values())
        down = 8 * max(v for _, v in self.samplings.values())
        return -(-self.width // across) * -(-self.height // down)

    @property
    def coefficients(self) -> int:
        """Those of all components, which a decoder of progressive files holds."""
        blocks = self.mcus * sum(h * v for h, v in self.samplings.values())
        return 64 * blocks


def frame(data: bytes | mmap, segment: jpeg.Segment) -> Frame:
    """Read a start-of-frame segment."""
    height, width, count = struct.unpack_from(">HHB", data, segment.body + 1)
    parts = [struct.unpack_from("BB", data, segment.body + 6 + 3 * number) for number in range(count)]
    samplings = {component: (sampling >> 4 or 1, sampling & 15 or 1) for component, sampling in parts}
    return Frame(segment.marker, width, height, samplings)


def shortest_codes(data: bytes | mmap, segment: jpeg.Segment) -> Tables:
    """The code of zeros in each Huffman table: the first of its shortest (B.2.4.2, C.2)."""
    found, position = {}, segment.body
    while position < segment.end:
        counts = data[position + 1 : position + 17]
        bits = next((length for length, count in enumerate(counts, 1) if count), 0)
        found[data[position]] = (bits, data[position + 17])
        position += 17 + sum(counts)
    return found


def components(data: bytes | mmap, scan: jpeg.Segment) -> list[tuple[int, int]]:
    """The components of a scan, each with the numbers of its two tables in one byte (B.2.3)."""
    return [(data[place], data[place + 1]) for place in range(scan.body + 1, scan.body + 1 + 2 * data[scan.body], 2)]


def most_flat(parts: list[tuple[int, int]], tables: Tables, of: Frame) -> int:
    """The most bits of zeros that can be an area of one colour in a baseline scan: those of the whole image, or none.

    They can if no change of the average and no detail, block by block, both have a code of zeros.
    """
    needed = 0
    for component, table in parts:
        across, down = of.samplings[component] if len(parts) > 1 else (1, 1)
        (average_bits, average), (detail_bits, detail) = tables[table >> 4], tables[0x10 | table & 15]
        if average or detail:
            return 0
        needed += across * down * (average_bits + detail_bits)
    return needed * (of.mcus if len(parts) > 1 else -(-of.width // 8) * -(-of.height // 8))
