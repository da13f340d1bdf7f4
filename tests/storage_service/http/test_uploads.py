"""Limits on the bodies that clients post."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from service_kit.http.server import Runner, listen
from storage_service.app import create_app
from storage_service.settings import StorageSettings
from tests import pictures
from tests.storage_service.conftest import Storage

MIB = 1024**2
GOOD = pictures.jpeg()
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def _part(name: str, body: bytes, more: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + body + b"\r\n"


async def _post(storage: Storage, body: object, **headers: str) -> tuple[int, str]:
    async with storage.http.post(f"{storage.url}/v1/images", data=body, headers={**FORM, **headers}) as response:
        assert response.headers["API-Version"] == "1"
        return response.status, await response.text()


async def test_a_compressed_body_is_refused_without_decompressing_it(storage: Storage) -> None:
    for encoding in ("gzip", "GZIP", "br", "identity, gzip"):
        for content_type in (FORM["Content-Type"], "image/png", "application/x-www-form-urlencoded"):
            headers = {"Content-Encoding": encoding, "Content-Type": content_type}
            status, text = await _post(storage, gzip.compress(GOOD), **headers)
            assert (status, "send it uncompressed" in text) == (415, True), (encoding, text)
    image = {"Content-Type": "image/jpeg"}
    assert (await _post(storage, GOOD, **image, **{"Content-Encoding": "identity"}))[0] == 201


@pytest.mark.parametrize("place", ["preamble", "epilogue"])
async def test_bytes_around_the_image_are_limited(storage: Storage, place: str) -> None:
    filler = (b"x" * 1022 + b"\r\n") * 1024
    image = _part("image", GOOD, '; filename="x"') + b"--b--\r\n"

    async def body(mebibytes: int) -> AsyncIterator[bytes]:
        yield image if place == "epilogue" else b""
        for _ in range(mebibytes):
            yield filler
        yield b"" if place == "epilogue" else image

    status, text = await _post(storage, body(66))
    assert (status, "the form is larger than 68157440 bytes" in text) == (413, True), text
    assert (await _post(storage, body(3)))[0] == 201


@pytest.mark.parametrize(
    "body",
    [
        _part("image", GOOD, '; filename="x"') + _part("IMAGE", GOOD, '; filename="x"'),
        _part("image", GOOD, '; filename="x"') * 2,
    ],
)
async def test_a_repeated_field_is_refused(storage: Storage, body: bytes) -> None:
    status, text = await _post(storage, body + b"--b--\r\n")
    assert (status, "appears twice" in text) == (400, True)


async def test_a_slow_body_times_out(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    runner = Runner(create_app(StorageSettings(data_dir=tmp_path, upload_seconds=0.2)))
    await runner.setup()
    url = await listen(runner, "127.0.0.1", 0)
    async with http.post(f"{url}/v1/images", data=drip(), headers={"Content-Type": "image/jpeg"}) as response:
        assert response.status == 408
        assert "within 0.2 s" in (await response.json())["detail"]
    await runner.cleanup()
    assert not list((tmp_path / "blobs/incoming").iterdir())
