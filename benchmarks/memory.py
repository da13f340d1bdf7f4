"""Peak memory of services that were just started: one renderer on a huge photo, and the whole service under load."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.photos import Photo, enlarged, photo_set
from benchmarks.results import CLIENTS, THUMB, Peak
from benchmarks.speed import Bench, Effort
from benchmarks.systems.base import SystemFailed
from benchmarks.systems.ours import Ours
from measuring.processes import Sampler

_MIB = 1024**2
HUGE = (16384, 10986)
"""180 megapixels."""
_HUGE_LIMITS = {
    "MAX_PIXELS": "200000000",
    "MAX_OUTPUT_SIDE": "20000",
    "MAX_UPLOAD_BYTES": "268435456",
    "RENDER_SECONDS": "60",
}
_HUGE_CHAINS = {"thumb=300": 80 * _MIB, "compress=80": 130 * _MIB}
_TREE_LIMIT = 400 * _MIB
_LARGE_MEGAPIXELS = 14
_LARGE_FORMATS = ("jpeg", "png")


def memory(effort: Effort) -> Iterator[Peak]:
    """All peaks."""
    path = enlarged(*HUGE)
    photo = Photo(path.stem, "jpeg", 0, *HUGE, path)
    for chain, limit in _HUGE_CHAINS.items():
        with _watched(_HUGE_LIMITS) as (service, sampler):
            service.prepare([photo])
            service.fetch(photo, chain)
        name = f"one renderer, {photo.megapixels:.0f} MP baseline JPEG, `{chain}`"
        yield Peak(name=name, bytes=sampler.one_process, limit=limit)
    with _watched({}, pss=True) as (service, sampler):
        _load(service, effort)
    name = f"the whole service, {CLIENTS} clients, `{THUMB}` of 15 MP photos ({', '.join(_LARGE_FORMATS)})"
    yield Peak(name=f"{name}, sum of PSS", bytes=sampler.proportional, limit=_TREE_LIMIT)
    yield Peak(name=f"{name}, sum of RSS", bytes=sampler.resident, limit=None)


def _load(service: Ours, effort: Effort) -> None:
    bench = Bench([service], effort)
    for photos in photo_set(_LARGE_FORMATS).values():
        large = tuple(photo for photo in photos if photo.megapixels >= _LARGE_MEGAPIXELS)
        for cell in bench.measure(bench.task(large, THUMB), 0):
            if cell.failures:
                raise SystemFailed(f"answers were wrong under load: {cell.failures}")


@contextmanager
def _watched(environment: dict[str, str], *, pss: bool = False) -> Iterator[tuple[Ours, Sampler]]:
    service = Ours(environment)
    with (
        tempfile.TemporaryDirectory(prefix="imgsvc-bench-") as folder,
        service.started(Path(folder)),
        Sampler(service.tree, pss=pss) as sampler,
    ):
        yield service, sampler
