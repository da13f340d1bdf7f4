"""The bytes of levels, as a share of those of the originals."""

from collections.abc import Iterator, Sequence

from benchmarks.levels.systems import Levelled
from benchmarks.photos import Photo
from measuring.figures import Figure, at_most

_MOST = 0.20
_KIB = 1024


def shares(levelled: Levelled, photos: Sequence[Photo]) -> Iterator[Figure]:
    """A figure per format, and one for all. The levels exist."""
    for fmt in dict.fromkeys(photo.format for photo in photos):
        yield _share(levelled, fmt.upper(), [photo for photo in photos if photo.format == fmt])
    yield _share(levelled, "all formats", photos)


def _share(levelled: Levelled, name: str, photos: Sequence[Photo]) -> Figure:
    originals = sum(photo.path.stat().st_size for photo in photos)
    levels = sum(path.stat().st_size for photo in photos for path in levelled.level_files(photo))
    spread = f"{levels / _KIB:,.0f} of {originals / _KIB:,.0f} KiB, {len(photos)} photos"
    return at_most(f"{name}: bytes of levels / of originals", levels / originals, _MOST, "", spread)
