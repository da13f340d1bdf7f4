"""An animation is one image: what pixels decide is decided once for all frames."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.fidelity.rendering import opened, rendered


def animation(boxes: list[tuple[int, int, int, int]], suffix: str, alpha: bool = False) -> bytes:
    """An animation of 100 x 80 pixels with a red rectangle in each frame, on white or on nothing."""
    frames = []
    for box in boxes:
        frame = Image.new("RGBA", (100, 80), (0, 0, 0, 0) if alpha else (255, 255, 255, 255))
        ImageDraw.Draw(frame).rectangle(box, fill=(255, 0, 0, 255))
        frames.append(frame)
    body = io.BytesIO()
    options = {"save_all": True, "append_images": frames[1:], "duration": 100, "loop": 0, "disposal": 2}
    if suffix == "webp":
        options |= {"lossless": True}
    frames[0].save(body, suffix, **options)
    return body.getvalue()


GROWING = [(40, 30, 44 + 4 * n, 33 + 3 * n) for n in range(5)]
MOVING = [(10 * n + 5, 20, 10 * n + 12, 30) for n in range(5)]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("suffix", ["gif", "webp"])
@pytest.mark.parametrize(("boxes", "size"), [(GROWING, (21, 16)), (MOVING, (48, 11))])
def test_autocrop_keeps_one_size(
    tmp_path: Path, boxes: list[tuple[int, int, int, int]], size: tuple[int, int], suffix: str, alpha: bool
) -> None:
    result = opened(rendered(tmp_path, animation(boxes, suffix, alpha), "autocrop&compress=100", suffix))
    assert (result.n_frames, result.size) == (5, size)
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    for number, box in enumerate(boxes):
        result.seek(number)
        red = np.asarray(result.convert("RGBA"))
        reds = (red[:, :, 0] > 200) & (red[:, :, 1] < 128) & (red[:, :, 3] > 128)
        rows, columns = np.nonzero(reds)
        found = (columns.min() + left, rows.min() + top, columns.max() + left, rows.max() + top)
        assert found == box


@pytest.mark.parametrize("chain", ["autocrop&thumb=10", "thumb=50&autocrop", "rotate=90&autocrop&flip&blur=1"])
def test_steps_before_and_after_autocrop_keep_one_size(tmp_path: Path, chain: str) -> None:
    result = opened(rendered(tmp_path, animation(MOVING, "gif"), chain, "gif"))
    assert result.n_frames == 5


def test_a_smart_crop_keeps_one_window(tmp_path: Path) -> None:
    """The rectangle moves through a window that does not."""
    result = opened(rendered(tmp_path, animation(MOVING, "gif"), "crop=60x40,smart", "gif"))
    assert (result.n_frames, result.size) == (5, (60, 40))
    places = []
    for number in range(5):
        result.seek(number)
        red = np.asarray(result.convert("RGB"))[:, :, 1] < 100
        places.append(np.nonzero(red)[1].min())
    assert np.diff(places).tolist() == [10, 10, 10, 10]


def test_an_animation_of_one_colour_is_not_cropped(tmp_path: Path) -> None:
    result = opened(rendered(tmp_path, animation([(0, 0, 99, 79)] * 2, "webp"), "autocrop&rotate=90", "webp"))
    assert result.size == (80, 100)
