"""What is stored can be rendered: a JPEG without its end is decoded before it is accepted."""

import io

import pytest
import pyvips
from PIL import Image

from tests.storage_service.conftest import Storage


def blank(size: int) -> pyvips.Image:
    return pyvips.Image.black(size, size, bands=3).copy(interpretation="srgb")


async def post(storage: Storage, body: bytes) -> tuple[int, str]:
    url = f"{storage.url}/v1/images"
    async with storage.http.post(url, data=io.BytesIO(body), headers={"Content-Type": "image/jpeg"}) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("progressive", [False, True])
async def test_a_jpeg_that_lost_only_its_end_is_stored(storage: Storage, progressive: bool) -> None:
    body = io.BytesIO()
    Image.effect_noise((3000, 2000), 90).convert("RGB").save(body, "JPEG", progressive=progressive)
    assert (await post(storage, body.getvalue()[:-2]))[0] == 201
    status, text = await post(storage, body.getvalue()[:-40])
    assert (status, "the image is corrupt or truncated" in text) == (422, True)


async def test_as_much_is_decoded_as_a_validator_may(storage: Storage) -> None:
    """A large baseline file, and the largest progressive ones."""
    assert (await post(storage, bytes(blank(9500).jpegsave_buffer())[:-2]))[0] == 201
    for size, status in ((4090, 201), (4200, 422)):
        body = bytes(blank(size).jpegsave_buffer(interlace=True, subsample_mode="off"))
        assert (await post(storage, body))[0] == 201
        found, text = await post(storage, body[:-2])
        assert (found, "it has no end" in text) == (status, status == 422)
