"""Fidelity: gets a thumbnail of each photo from each system, and scores it."""

import multiprocessing
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.photos import Photo
from benchmarks.results import THUMB, Score
from benchmarks.scores import scores
from benchmarks.systems.base import CORES, System


def fidelity(systems: Sequence[System], sets: Mapping[str, Sequence[Photo]]) -> list[Score]:
    """One score per system and photo."""
    photos = [photo for photos in sets.values() for photo in photos if photo.copy == 0]
    for system in systems:
        system.prepare(photos)
    with (
        tempfile.TemporaryDirectory(prefix="imgsvc-bench-") as folder,
        multiprocessing.get_context("spawn").Pool(CORES) as pool,
    ):
        jobs = [(photo.path, _served(systems, photo, Path(folder))) for photo in photos]
        found = pool.starmap(scores, jobs, chunksize=1)
        return [
            Score(
                system=system.name, format=photo.format, photo=photo.name, ssimulacra2=score, bytes=path.stat().st_size
            )
            for photo, (_, paths), values in zip(photos, jobs, found, strict=True)
            for system, path, score in zip(systems, paths, values, strict=True)
        ]


def _served(systems: Sequence[System], photo: Photo, folder: Path) -> list[Path]:
    paths = [folder / f"{system.name}-{photo.path.name}" for system in systems]
    for system, path in zip(systems, paths, strict=True):
        path.write_bytes(system.fetch(photo, THUMB))
    return paths
