"""Judges the variants of photos, several at a time: SSIMULACRA2 is slow and uses one core."""

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.levels.variants import THUMB, Variant
from benchmarks.photos import Photo
from benchmarks.product import thumbnail
from benchmarks.results import BARE
from benchmarks.scores import scores
from benchmarks.systems.base import CORES


@dataclass(frozen=True, slots=True)
class Served:
    """A variant that a system has made."""

    system: str
    variant: Variant
    path: Path


@dataclass(frozen=True, slots=True)
class Job:
    """One photo, and what was made of it."""

    photo: Photo
    served: Sequence[Served]


@dataclass(frozen=True, slots=True)
class Judged:
    """The score of one variant."""

    system: str
    photo: str
    format: str
    variant: Variant
    size: tuple[int, int]
    """Width and height in pixels."""
    score: float

    @property
    def key(self) -> tuple[str, str, Variant]:
        """The photo, its format and the variant, without the system."""
        return self.photo, self.format, self.variant

    def __str__(self) -> str:
        photo = f"{self.photo} ({self.format.upper()})"
        return f"{self.score:6.2f}  {photo:44}{self.variant.chain:24}"


def judged(jobs: Sequence[Job]) -> list[Judged]:
    """All scores, and those of libvips' own thumbnails. Spawned: a fork of a process that has used libvips hangs."""
    with multiprocessing.get_context("spawn").Pool(CORES) as pool:
        return [each for found in pool.imap(_judged, jobs) for each in found]


def _judged(job: Job) -> list[Judged]:
    served = [*job.served, *_by_libvips(job)]
    found = scores(job.photo.path, [each.path for each in served], [each.variant.treatment for each in served])
    return [
        Judged(each.system, job.photo.name, job.photo.format, each.variant, _size(each.path), score)
        for each, score in zip(served, found, strict=True)
    ]


def _by_libvips(job: Job) -> list[Served]:
    """What libvips' `thumbnail` makes of the file, for the sides that were served."""
    made = []
    for variant in dict.fromkeys(each.variant for each in job.served if each.variant.pattern == THUMB):
        path = job.served[0].path.with_name(f"{BARE}-{job.photo.path.name}-{variant.side}.png")
        thumbnail(str(job.photo.path), variant.side, "png", path)
        made.append(Served(BARE, variant, path))
    return made


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
