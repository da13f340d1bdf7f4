"""Adding a format is one file: a toy format is read, converted and refused by the running service."""

from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import pyvips

from tests import pictures
from tests.servers import serve_with_format

TOY = '''
"""Grey pixels as text, which the service does not support: the toy of a test."""

import re
from mmap import mmap

from imaging.formats.base import Format, Rate, Reader, Writer, register
from imaging.limits import InputLimits
from imaging.types import Image, Target
from service_kit.errors import UnprocessableImage


def _check(data: mmap, _limits: InputLimits) -> int:
    if data.find(b"refuse me") > 0:
        raise UnprocessableImage("the image has a comment that nobody likes; remove it")
    return 0


def _save(image: Image, target: Target, quality: int) -> None:
    image.csvsave_target(target, separator=",")


CSV = register(
    Format(
        name="csv",
        media_type="image/x-csv",
        extensions=("csv", "commas"),
        signature=re.compile(rb"[0-9]+,"),
        alpha=False,
        reader=Reader(loader="csvload", loader_class="Csv", rate=Rate(8, 8), check=_check),
        WRITER
    )
)
'''
RAW = {"Content-Type": "image/x"}
WRITER = "writer=Writer(save=_save, rate=lambda _pixels, _quality: Rate(8, 1)),"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_with_format(tmp_path_factory.mktemp("toy"), TOY.replace("WRITER", WRITER)) as served:
        yield served.url


@pytest.fixture(scope="module")
def read_only_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_with_format(tmp_path_factory.mktemp("read_only_toy"), TOY.replace("WRITER", "")) as served:
        yield served.url


PICTURE = pictures.gradient(320, 200).extract_band(0).copy(interpretation="b-w")


def csv(picture: pyvips.Image) -> bytes:
    """An image in the toy format."""
    return b"".join(b",".join(b"%d" % each for each in row) + b"\n" for row in picture.numpy())


TOY_IMAGE = csv(PICTURE)


async def upload(http: aiohttp.ClientSession, url: str, body: bytes) -> dict[str, Any]:
    async with http.post(f"{url}/v1/images", data=body, headers=RAW) as response:
        assert response.status == 201, await response.text()
        return await response.json()


async def get(http: aiohttp.ClientSession, url: str) -> tuple[int, str, bytes]:
    async with http.get(url) as response:
        return response.status, response.headers["Content-Type"], await response.read()


async def test_a_new_format_is_read(http: aiohttp.ClientSession, service: str) -> None:
    facts = await upload(http, service, TOY_IMAGE)
    assert (facts["format"], facts["content_type"]) == ("csv", "image/x-csv")
    assert (facts["width"], facts["height"]) == (320, 200)
    assert facts["filename"] == f"{facts['image_id']}.csv"
    assert await get(http, service + facts["url"]) == (200, "image/x-csv", TOY_IMAGE)


async def test_a_new_format_is_converted_both_ways(http: aiohttp.ClientSession, service: str) -> None:
    toy = await upload(http, service, TOY_IMAGE)
    status, media_type, body = await get(http, f"{service}{toy['url']}.png?rotate=90&thumb=160")
    assert (status, media_type) == (200, "image/png")
    assert pictures.decode(body).width == 100
    png = await upload(http, service, bytes(PICTURE.pngsave_buffer()))
    for url in (f"{png['url']}.csv?flip", f"{png['url']}.commas?flip", f"{toy['url']}?flip"):
        status, media_type, body = await get(http, service + url)
        assert (status, media_type) == (200, "image/x-csv"), body
        assert body == csv(PICTURE.flipver())


async def test_a_new_format_is_refused_for_its_own_reasons(http: aiohttp.ClientSession, service: str) -> None:
    for body, status, text in (
        (TOY_IMAGE + b"refuse me", 422, "a comment that nobody likes"),
        (TOY_IMAGE[:5000], 422, "corrupt, truncated"),
        (
            b"P5" + TOY_IMAGE,
            415,
            "not an image in a supported format; send one of: avif, gif, jpeg, png, tiff, csv, webp",
        ),
    ):
        async with http.post(f"{service}/v1/transform?blur=1", data=body, headers=RAW) as response:
            assert response.status == status, await response.text()
            assert text in (await response.json())["detail"]


async def test_a_format_may_be_read_but_not_written(http: aiohttp.ClientSession, read_only_service: str) -> None:
    toy = await upload(http, read_only_service, TOY_IMAGE)
    image = read_only_service + toy["url"]
    assert (await get(http, f"{image}.csv"))[::2] == (200, TOY_IMAGE), "the original"
    assert (await get(http, f"{image}.webp"))[:2] == (200, "image/webp")
    for url in (f"{image}?thumb=100", f"{image}.auto"):
        assert (await get(http, url))[:2] == (200, "image/jpeg"), url
    status, media_type, body = await get(http, f"{image}.csv?thumb=100")
    assert (status, media_type) == (406, "application/problem+json")
    assert b"csv images can be read but not written; use one of: avif, gif, jpg" in body
    status, _, body = await get(http, f"{image}.bmp")
    assert status == 406
    assert b"use one of: avif, gif, jpg, jpeg, png, tiff, tif, webp" in body
