"""Of animated PNG and AVIF images, one picture is shown, and `info` counts the frames that are not."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fidelity.rendering import rendered, values
from tests.files import header_of

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def animated(suffix: str, **options: object) -> bytes:
    frames = [Image.new("RGB", (32, 24), colour) for colour in COLOURS]
    body = io.BytesIO()
    frames[0].save(body, suffix, save_all=True, append_images=frames[1:], duration=100, **options)
    return body.getvalue()


def still(suffix: str) -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (32, 24), COLOURS[0]).save(body, suffix)
    return body.getvalue()


FILES = {
    "APNG": (animated("PNG"), 2),
    "APNG with a default image that is no frame": (animated("PNG", default_image=True), 2),
    "AVIF": (animated("AVIF"), 2),
    "PNG": (still("PNG"), 0),
    "still AVIF": (still("AVIF"), 0),
    "GIF": (animated("GIF"), 0),
    "WebP": (animated("WEBP"), 0),
}


@pytest.mark.parametrize("name", FILES)
def test_the_header_counts_the_frames_that_are_not_read(tmp_path: Path, name: str) -> None:
    body, unread = FILES[name]
    (tmp_path / "file").write_bytes(body)
    header = header_of(tmp_path / "file")
    assert (header.frames, header.unread_frames) == (3 if name in {"GIF", "WebP"} else 1, unread)


@pytest.mark.parametrize("name", [name for name in FILES if FILES[name][1]])
@pytest.mark.parametrize("chain", ["resize=16x12", "rotate=0"])
def test_the_default_image_is_shown(tmp_path: Path, name: str, chain: str) -> None:
    pixel = values(rendered(tmp_path, FILES[name][0], chain))[5, 5, :3].astype(int)
    assert np.abs(pixel - COLOURS[0]).max() < 4
