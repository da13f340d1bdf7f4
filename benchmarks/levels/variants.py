"""The variants whose fidelity is measured, and what each chain does to a photo besides scaling it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.treatments import COVERING, FLIPPED, SCALED, TURNED, Treatment

SIDES = (100, 200, 300, 400, 512, 1024)
THUMB = "thumb={0}"
CHAINS: Mapping[str, Treatment] = {
    THUMB: SCALED,
    "rotate=90&thumb={0}": TURNED,
    "flip&thumb={0}": FLIPPED,
    "resize={0}x{0},cover": COVERING,
}
"""In place of {0}, a side."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A chain for one side."""

    pattern: str
    """A key of CHAINS."""
    side: int

    @property
    def chain(self) -> str:
        """As in a URL."""
        return self.pattern.format(self.side)

    @property
    def treatment(self) -> Treatment:
        """See CHAINS."""
        return CHAINS[self.pattern]


def variants(sides: Sequence[int]) -> list[Variant]:
    """Every chain for each of these sides."""
    return [Variant(pattern, side) for pattern in CHAINS for side in sides]
