"""Fidelity: gets a thumbnail of each photo from each system; `benchmarks.scores` scores them in its own environment."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.peers import report_venv
from benchmarks.photos import Photo
from benchmarks.results import THUMB, Score
from benchmarks.systems.base import CORES, System, SystemFailed
from measuring.servers import ROOT

_SECONDS = 1800


def fidelity(systems: Sequence[System], sets: Mapping[str, Sequence[Photo]]) -> list[Score]:
    """One score per system and photo. Raises SystemFailed when scoring fails."""
    photos = [photo for photos in sets.values() for photo in photos if photo.copy == 0]
    with tempfile.TemporaryDirectory(prefix="imgsvc-bench-") as folder:
        jobs = json.dumps([_served(systems, photo, Path(folder)) for photo in photos])
        command = [str(report_venv() / "bin" / "python"), "-m", "benchmarks.scores", str(CORES)]
        done = subprocess.run(
            command, cwd=ROOT, input=jobs, text=True, capture_output=True, timeout=_SECONDS, check=False
        )
    if done.returncode:
        raise SystemFailed(f"scoring failed: {done.stderr[-2000:]}")
    return TypeAdapter(list[Score]).validate_json(done.stdout)


def _served(systems: Sequence[System], photo: Photo, folder: Path) -> dict[str, object]:
    served = {}
    for system in systems:
        system.prepare([photo])
        path = folder / f"{system.name}-{photo.path.name}"
        path.write_bytes(system.fetch(photo, THUMB))
        served[system.name] = str(path)
    return {"photo": photo.name, "format": photo.format, "source": str(photo.path), "served": served}
