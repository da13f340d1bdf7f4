"""How true the thumbnails are: gets them from each system; `benchmarks.scores` scores them in its own environment."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.peers import report_venv
from benchmarks.photos import EXTENSIONS, Photo
from benchmarks.results import THUMB, Score
from benchmarks.systems.base import CORES, ROOT, System, SystemFailed

_SECONDS = 1800


def fidelity(systems: Sequence[System], sets: Mapping[str, Sequence[Photo]]) -> list[Score]:
    """A score a system and photo. Raises SystemFailed when scoring fails."""
    photos = [photo for photos in sets.values() for photo in photos if photo.copy == 0]
    with tempfile.TemporaryDirectory(prefix="imgsvc-bench-") as folder:
        jobs = [_serve(systems, photo, Path(folder)) for photo in photos]
        scores = _score(jobs)
    return [Score.model_validate(score) for score in scores]


def _serve(systems: Sequence[System], photo: Photo, folder: Path) -> dict[str, object]:
    served = {}
    for system in systems:
        system.prepare([photo])
        path = folder / f"{system.name}-{photo.name}.{EXTENSIONS[photo.format]}"
        path.write_bytes(system.fetch(photo, THUMB))
        served[system.name] = str(path)
    return {"photo": photo.name, "format": photo.format, "source": str(photo.path), "served": served}


def _score(jobs: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    python = str(report_venv() / "bin" / "python")
    done = subprocess.run(
        [python, "-m", "benchmarks.scores", str(CORES)],
        cwd=ROOT,
        input=json.dumps(jobs),
        text=True,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise SystemFailed(f"scoring failed: {done.stderr[-2000:]}")
    scores: list[dict[str, object]] = json.loads(done.stdout)
    return scores
