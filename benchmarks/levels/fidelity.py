"""SSIMULACRA2 of pictures rendered from levels, compared with those of originals and libvips; the bytes of levels."""

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.levels.judging import Job, Judged, Served, judged
from benchmarks.levels.storage import shares
from benchmarks.levels.systems import WITHOUT, Levelled, in_threads, prepare, running
from benchmarks.levels.variants import CHAINS, SIDES, THUMB, Variant, variants
from benchmarks.photos import Photo, evenly, photo_set
from benchmarks.results import BARE, OURS
from benchmarks.systems.base import HttpSystem
from measuring.figures import Figure, at_least, at_most

_FORMATS = ("jpeg", "png", "webp")
_LEAST_MEGAPIXELS = 4
_LEAST_SCORE = 90
_SHOWN = 10


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--photos", type=int, default=20, help="photos, in JPEG, PNG and WebP (default: 20)")
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, help="sizes (default: 100 to 1024)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All scores, and the bytes of the levels."""
    print("preparing photos", flush=True)
    photos, levelled = _photos(chosen.photos), Levelled()
    with tempfile.TemporaryDirectory(prefix="imgsvc-levels-") as folder:
        with running(levelled, peers=False) as systems:
            print(f"making levels of {len(photos)} photos", flush=True)
            levelled.make_levels(photos)
            storage = [*shares(levelled, photos)]
            print("getting all variants", flush=True)
            jobs = _jobs(systems, photos, variants(chosen.sides), Path(folder))
        print("judging them", flush=True)
        found = judged(jobs)
    _print_lowest(found)
    return [*_figures(found), *storage]


def _photos(count: int) -> list[Photo]:
    """Photos of all formats, evenly chosen, about equally many of each."""
    chosen: list[Photo] = []
    for place, photos in enumerate(photo_set(_FORMATS).values()):
        large = [photo for photo in photos if photo.copy == 0 and photo.megapixels >= _LEAST_MEGAPIXELS]
        share = (count + len(_FORMATS) - 1 - place) // len(_FORMATS)
        chosen += evenly(large, min(share, len(large)))
    return chosen


def _jobs(systems: Sequence[HttpSystem], photos: Sequence[Photo], wanted: Sequence[Variant], folder: Path) -> list[Job]:
    for system in systems:
        prepare(system, photos)

    def job(photo: Photo) -> Job:
        return Job(photo, [_served(system, photo, variant, folder) for variant in wanted for system in systems])

    return in_threads(job, photos)


def _served(system: HttpSystem, photo: Photo, variant: Variant, folder: Path) -> Served:
    path = folder / f"{system.name}-{photo.path.name}-{variant.chain}.png"
    path.write_bytes(system.fetch(photo, variant.chain, "png"))
    return Served(system.name, variant, path)


def _print_lowest(found: Sequence[Judged]) -> None:
    print("the lowest scores, and those of the same variants made otherwise:")
    for each in sorted(_of(found, OURS), key=lambda judged: judged.score)[:_SHOWN]:
        others = [other for other in found if other.key == each.key and other.system != OURS]
        said = ", ".join(f"{other.system} {other.score:.2f}" for other in others)
        print(f"  {each}  {each.size[0]} x {each.size[1]}; {said}", flush=True)


def _figures(found: Sequence[Judged]) -> Iterator[Figure]:
    ours, others = _of(found, OURS), {each.key: each for each in _of(found, WITHOUT)}
    below = sum(each.score < _LEAST_SCORE for each in ours)
    lowest = min(each.score for each in ours)
    yield at_least("lowest score", lowest, _LEAST_SCORE, "", f"{below} of {len(ours)} are below")
    for pattern in CHAINS:
        name = f"{pattern.replace('{0}', 'S')}: mean score"
        yield Figure(name, f"{_mean(found, OURS, pattern):.2f}", f"{WITHOUT} {_mean(found, WITHOUT, pattern):.2f}")
    yield at_least("thumb=S: mean score, compared with libvips' thumbnail", _mean(found, OURS), _mean(found, BARE))
    lost = max(ours, key=lambda each: others[each.key].score - each.score)
    points = others[lost.key].score - lost.score
    yield Figure("the most points that levels cost", f"{points:.2f}", f"{lost.photo}, {lost.variant.chain}")
    changed = sum(each.size != others[each.key].size for each in ours)
    yield at_most("sizes in pixels that levels change", changed, 0, spread=f"of {len(ours)}")


def _of(found: Sequence[Judged], system: str) -> list[Judged]:
    return [each for each in found if each.system == system]


def _mean(found: Sequence[Judged], system: str, pattern: str = THUMB) -> float:
    return statistics.fmean(each.score for each in found if (each.system, each.variant.pattern) == (system, pattern))
