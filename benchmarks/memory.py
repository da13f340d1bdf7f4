"""How much memory the service takes at its highest: one renderer on a huge photo, and all of it under load."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.bench import Bench, Effort, Task
from benchmarks.photos import Photo, enlarged, photo_set
from benchmarks.processes import MemorySampler
from benchmarks.results import CLIENTS, THUMB, Peak
from benchmarks.systems.base import SystemFailed
from benchmarks.systems.ours import Ours

_MIB = 1024**2
HUGE = (16384, 10986)
"""180 megapixels."""
_HUGE_LIMITS = {
    "MAX_PIXELS": "200000000",
    "MAX_OUTPUT_SIDE": "20000",
    "MAX_UPLOAD_BYTES": "268435456",
    "RENDER_SECONDS": "60",
}
_HUGE_CHAINS = (("thumb=300", 80 * _MIB), ("compress=80", 130 * _MIB))
_TREE_LIMIT = 400 * _MIB
_LARGE_MEGAPIXELS = 14
_LARGE_FORMATS = ("jpeg", "png")


def memory(folder: Path, effort: Effort) -> Iterator[Peak]:
    """All peaks, each of a service that was just started; `folder` is that of the photos."""
    yield from huge_photo(folder, HUGE)
    yield from large_photos(folder, effort)


def huge_photo(folder: Path, size: tuple[int, int]) -> Iterator[Peak]:
    """The peak of the process that rendered, for each chain."""
    path = enlarged(folder / "converted", *size)
    photo = Photo(path.stem, "jpeg", 0, *size, path)
    for chain, limit in _HUGE_CHAINS:

        def render(service: Ours, chain: str = chain) -> None:
            service.prepare([photo])
            service.fetch(photo, chain)

        sampler = _watched(_HUGE_LIMITS, render)
        name = f"one renderer, {photo.megapixels:.0f} MP baseline JPEG, `{chain}`"
        yield Peak(name=name, bytes=sampler.peak_process, limit=limit)


def large_photos(folder: Path, effort: Effort) -> Iterator[Peak]:
    """The peak of the whole service while clients ask for thumbnails of large photos."""
    sets = photo_set(folder, _LARGE_FORMATS)
    formats = {
        fmt: tuple(photo for photo in photos if photo.megapixels >= _LARGE_MEGAPIXELS) for fmt, photos in sets.items()
    }

    def load(service: Ours) -> None:
        bench = Bench([service], effort)
        for chosen in formats.values():
            bench.look(chosen, THUMB)
            bench.calibrate(chosen, THUMB)
            for cell in bench.measure(Task(chosen, THUMB, CLIENTS), 0):
                if cell.failures:
                    raise SystemFailed(f"answers were wrong under load: {cell.failures}")

    sampler = _watched({}, load, pss=True)
    name = f"the whole service, {CLIENTS} clients, `{THUMB}` of 15 MP photos ({', '.join(formats)})"
    yield Peak(name=f"{name}, sum of PSS", bytes=sampler.peak_pss, limit=_TREE_LIMIT)
    yield Peak(name=f"{name}, sum of RSS", bytes=sampler.peak_rss, limit=None)


def _watched(environment: dict[str, str], work: Callable[[Ours], None], *, pss: bool = False) -> MemorySampler:
    service = Ours(environment)
    with tempfile.TemporaryDirectory(prefix="imgsvc-bench-") as folder:
        service.start(Path(folder))
        try:
            with MemorySampler(service.tree(), pss=pss) as sampler:
                work(service)
        finally:
            service.stop()
    return sampler
