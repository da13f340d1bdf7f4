"""The remembered images, here and on the machine of a worker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests import corpus, run
from loadtests.options import Options
from loadtests.photos import Album
from loadtests.stack import Stack
from tests.servers import ROOT

pytestmark = pytest.mark.usefixtures("wallpapers")


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The uploads that a target received. It keeps every image."""
    sent: list[bytes] = []

    def upload(url: str, body: bytes, _type: str) -> tuple[str, int, int]:
        sent.append(body)
        photo = Album(Path(url)).photo(0)
        return f"{len(sent):032}", photo.width, photo.height

    monkeypatch.setattr(corpus, "_upload", upload)
    monkeypatch.setattr(corpus, "_is_there", lambda *_: True)
    return sent


def test_a_copied_corpus_finds_the_photos_beside_it(bodies: list[bytes], tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    corpus.seed(str(here), Album(here), 1, here / "corpus.json")
    (row,) = json.loads((here / "corpus.json").read_text())
    assert row["file"] == Path(row["file"]).name
    here.rename(there)
    (entry,) = corpus.load(there / "corpus.json")
    assert entry.file.read_bytes() == bodies[0]


def test_known_images_are_not_uploaded_again(
    bodies: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = corpus.seed(str(tmp_path), Album(Path()), 1, Path("kept/corpus.json"))
    assert corpus.seed(str(tmp_path), Album(tmp_path), 1, tmp_path / "kept" / "corpus.json") == first
    assert len(bodies) == 1


@pytest.mark.parametrize(("shape", "uploads", "different"), [("cold", 2, True), ("steady", 1, False)])
def test_only_a_cold_run_uploads_new_files(
    bodies: list[bytes], tmp_path: Path, shape: str, uploads: int, different: bool
) -> None:
    options = Options(shape, images=1, files=tmp_path)
    for _ in range(2):
        (entry,), _file = run._seeded(options, str(tmp_path), None, Album(tmp_path))
        assert entry.bytes == len(bodies[-1])
    assert len(bodies) == uploads
    assert (entry.file.read_bytes() != bodies[-1]) is different
    assert len(set(bodies)) == uploads


def test_the_own_stack_gets_the_same_files_every_time(bodies: list[bytes], tmp_path: Path) -> None:
    for _ in range(2):
        own = Stack("", "docker", ())
        run._seeded(Options("steady", images=1, files=tmp_path), str(tmp_path), own, Album(tmp_path))
    assert len(bodies) == 2
    assert len(set(bodies)) == 1


@pytest.mark.usefixtures("bodies")
def test_a_worker_without_photos_says_so_on_one_line(tmp_path: Path) -> None:
    corpus.seed(str(tmp_path), Album(tmp_path), 1, tmp_path / "corpus.json")
    for photo in tmp_path.glob("*.jpeg"):
        photo.unlink()
    worker = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--worker"]
    environment = {**os.environ, "LOADTEST_CORPUS": str(tmp_path / "corpus.json")}
    done = subprocess.run(worker, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.strip().splitlines()[-1].startswith("there are no photos to upload: copy them into the folder of ")
    )
