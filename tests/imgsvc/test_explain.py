"""`imgsvc explain` reads a query as a request does."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import pictures
from tests.servers import ROOT


def _explain(folder: Path, *arguments: str, size: tuple[int, int] = (400, 300)) -> tuple[int, str, str]:
    photo = folder / "photo.jpg"
    photo.write_bytes(pictures.jpeg(*size))
    query, *options = arguments
    command = [sys.executable, "-m", "imgsvc", "explain", query, str(photo), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_aliases_are_shown_as_what_they_become(tmp_path: Path) -> None:
    code, said, _ = _explain(tmp_path, "w=30&h=20&fit=cover&dpr=2&fm=webp&download=x&v=1")
    assert code == 0
    assert "as written  resize=60x40,cover\n" in said
    assert "output      WEBP, 60 x 40" in said


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("fm=webp", "--format", "png"), "imgsvc: the path says png, but the query says webp; use only one of them"),
        (("foo=1",), "imgsvc: unknown operation 'foo'; use one of: autocrop"),
        (("expires=1",), "imgsvc: `expires` belongs to the end of a signed URL"),
        (("w=1&w=2",), "imgsvc: `w` is a second width; give only one\nimgsvc:   w=1&w=2\nimgsvc:       ^^^\n"),
    ],
)
def test_what_a_request_would_refuse_is_refused(tmp_path: Path, arguments: tuple[str, ...], error: str) -> None:
    code, said, complaint = _explain(tmp_path, *arguments)
    assert (code, said, error in complaint) == (1, "", True), complaint


def test_auto_is_what_a_client_without_preferences_gets(tmp_path: Path) -> None:
    for arguments in (("w=30&fm=auto",), ("w=30", "--format", "auto")):
        assert "output      JPEG, 30 x 23" in _explain(tmp_path, *arguments)[1]


def test_the_level_is_named_or_why_there_is_none(tmp_path: Path) -> None:
    for query, size, said in (
        ("thumb=300", (2400, 1800), "once the image has one, the render starts from its level of 480 x 360, and not"),
        ("thumb=700", (2400, 1800), "none, since none has enough pixels for the result"),
        ("thumb=300", (400, 300), "none, since the image is small or narrow"),
        ("sharpen=1&thumb=30", (2400, 1800), "none, since the chain does not begin with a downscale"),
        (
            "crop=900x900&thumb=99",
            (2400, 1800),
            "once the image has one, the render starts from its level of 480 x 360",
        ),
    ):
        assert f"level       {said}" in _explain(tmp_path, query, size=size)[1]
