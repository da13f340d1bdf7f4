"""`compress=100` is lossless in every format that can be, as the docs say."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fidelity.rendering import rendered, values

_NOISE = np.random.default_rng(15).integers(0, 256, (48, 64, 4), np.uint8)


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("output", ["png", "webp", "avif"])
def test_quality_100_keeps_every_pixel(tmp_path: Path, output: str, bands: int) -> None:
    picture = np.squeeze(_NOISE[:, :, :bands]).copy()
    if bands == 4:
        picture[picture[:, :, 3] == 0] = 0  # nobody sees those colours
    body = io.BytesIO()
    Image.fromarray(picture).save(body, "PNG")
    found = values(rendered(tmp_path, body.getvalue(), "flip&compress=100", output))
    wanted = picture[::-1] if bands > 1 else np.repeat(picture[::-1, :, None], found.shape[2], axis=2)
    assert np.array_equal(found, wanted)
