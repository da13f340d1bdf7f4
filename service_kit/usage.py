"""The contract about usage: what viewers requested, by chain and by image (docs/adr/0069)."""

from collections import Counter, defaultdict
from enum import StrEnum
from typing import Annotated
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

HEADER = "Usage"
"""The header of a response that says what it is, for those who count: OUTCOME MILLISECONDS CHAIN. Not for clients."""
ORIGINAL = "original"
"""The chain of originals."""
OTHER = "other"
"""The chain of all that is too rare to be counted by itself. No chain is called so: each has a `?` or is a format."""
NO_IMAGE = ""
"""The image of what shows none that is stored, or one that is too rare to be counted by itself."""
LONGEST_CHAIN = 200
_MOST_ROWS = 1000
"""Chains, and images, that a tally keeps apart."""


class Outcome(StrEnum):
    """What a response took."""

    HIT = "hit"
    """It came from Varnish."""
    RESULT = "result"
    """A result in the cache, the render of another request, or a 304."""
    VARIANT = "variant"
    """A stored variant."""
    LEVEL = "level"
    """A render from a level."""
    RENDER = "render"
    """A render from the original."""
    FILE = "file"
    """The bytes of the original."""


class ChainCount(BaseModel):
    """Requests for one chain with one outcome, their renders' milliseconds, and the bytes that were sent."""

    model_config = ConfigDict(frozen=True)

    chain: Annotated[str, Field(min_length=1, max_length=LONGEST_CHAIN)]
    outcome: Outcome
    requests: Annotated[int, Field(gt=0, lt=2**40)]
    milliseconds: Annotated[float, Field(ge=0, lt=2**40)]
    bytes: Annotated[int, Field(ge=0, lt=2**50)]


class ImageCount(BaseModel):
    """Requests for one image, or for those that are too rare (NO_IMAGE)."""

    model_config = ConfigDict(frozen=True)

    image_id: Annotated[str, Field(pattern="^(?:[0-9a-f]{32})?$")]
    requests: Annotated[int, Field(gt=0, lt=2**40)]


class UsageBatch(BaseModel):
    """What was counted in a few seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    """A batch that is sent again has the same."""
    chains: Annotated[list[ChainCount], Field(max_length=10 * _MOST_ROWS)]
    images: Annotated[list[ImageCount], Field(max_length=10 * _MOST_ROWS)]


def header(outcome: Outcome, seconds: float, chain: str) -> str:
    """The value of HEADER."""
    told = chain if len(chain) <= LONGEST_CHAIN and chain.isascii() and chain.isprintable() else OTHER
    return f"{outcome} {seconds * 1000:.1f} {told}"


class Tally:
    """Counts responses in this process. varnish/records does the same from Varnish's log."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._chains: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0, 0])
        """Requests, milliseconds and bytes, by chain and outcome."""
        self._images: Counter[str] = Counter()

    def add(self, value: str, image_id: str, size: int) -> None:
        """Count a response with this value of HEADER."""
        outcome, milliseconds, chain = value.split(" ", 2)
        if (chain, outcome) not in self._chains and len(self._chains) >= _MOST_ROWS:
            chain = OTHER
        row = self._chains[chain, outcome]
        row[0] += 1
        row[1] += float(milliseconds)
        row[2] += size
        full = image_id not in self._images and len(self._images) >= _MOST_ROWS
        self._images[NO_IMAGE if full else image_id] += 1

    def take(self) -> UsageBatch | None:
        """What was counted since the last call; None if that is nothing."""
        if not self._chains:
            return None
        chains, images = self._chains, self._images
        self._clear()
        return UsageBatch(
            id=uuid4().hex,
            chains=[
                ChainCount(
                    chain=chain, outcome=Outcome(outcome), requests=int(row[0]), milliseconds=row[1], bytes=int(row[2])
                )
                for (chain, outcome), row in chains.items()
            ],
            images=[ImageCount(image_id=image_id, requests=number) for image_id, number in images.items()],
        )
