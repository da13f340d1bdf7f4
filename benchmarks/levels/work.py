"""The photo sets of `speed`, and what is requested of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.photos import Photo, copies, fifteen_megapixels, of_size
from measuring.photos import WALLPAPERS, found

_SOURCES = 12
"""Wallpapers of a set that is scaled to one size."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is requested of every system."""

    name: str
    photos: tuple[Photo, ...]
    chain: str
    least: float
    """The target: how many times the goodput of a peer."""

    @property
    def title(self) -> str:
        """For a table."""
        return f"{self.name}, {self.chain}"


@dataclass(frozen=True, slots=True)
class Kind:
    """Files of one kind, of which copies are made."""

    name: str
    format: str
    files: tuple[Path, ...]

    def photos(self, least: int) -> tuple[Photo, ...]:
        """At least so many files that all differ. Neighbours show different pictures."""
        return copies(self.format, self.files, -(-least // len(self.files)))


def works(least: int) -> list[Work]:
    """All work, with at least so many files per set."""
    progressive, baseline, six, avif = judged_kinds()
    wanted = (
        (progressive, "thumb=300", 20.0),
        (baseline, "thumb=300", 8.0),
        (six, "thumb=300", 2.0),
        (avif, "thumb=300", 20.0),
        (progressive, "thumb=1024", 4.0),
        (baseline, "thumb=1024", 4.0),
    )
    return [Work(kind.name, kind.photos(least), chain, target) for kind, chain, target in wanted]


def judged_kinds() -> list[Kind]:
    """Those whose goodput is judged."""
    baseline = fifteen_megapixels(progressive=False)
    progressive = [path for path in fifteen_megapixels(progressive=True) if path not in baseline]
    return [
        _kind("15 MP progressive JPEG", "jpeg", progressive),
        _kind("15 MP baseline JPEG", "jpeg", baseline),
        _kind("6 MP JPEG", "jpeg", of_size(6, ["jpg"], _SOURCES)),
        _kind("4 MP AVIF", "avif", of_size(4, ["avif"], _SOURCES)),
    ]


def first_kinds() -> list[Kind]:
    """Those of which first renders are measured.

    The last two make levels on the way, like AVIF: their decoders do not shrink.
    """
    png = [path for path in found(WALLPAPERS, suffixes=(".png",)) if path.name == "5120x2880.png"]
    webp = of_size(15, ["webp"], 4)
    return [*judged_kinds(), _kind("15 MP PNG", "png", png), _kind("15 MP WebP", "webp", webp)]


def _kind(name: str, fmt: str, files: Sequence[Path]) -> Kind:
    return Kind(name, fmt, tuple(files))
