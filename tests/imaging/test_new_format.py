"""Adding a format is one file: a toy format is read, converted and refused by the running service."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pyvips

from tests import pictures
from tests.servers import ROOT, Served, serve

PACKAGES = ("imaging", "service_kit", "storage_service", "transform_service", "imgsvc")
TOY = '''
"""libvips' own format, which the service does not support: the toy of a test."""

import os
import re

from imaging.formats.base import Format, InputLimits, Rate, Reader, Writer, register
from imaging.types import Image
from service_kit.errors import UnprocessableImage


def _check(data: bytes, _limits: InputLimits) -> None:
    if data.find(b"refuse me") > 0:
        raise UnprocessableImage("the image has a comment that nobody likes; remove it")


def _save(image: Image, path: str, quality: int) -> None:
    image.vipssave(path + ".v")  # it insists on a suffix
    os.rename(path + ".v", path)


VIPS = register(
    Format(
        name="vips",
        media_type="image/x-vips",
        extensions=("v", "vips"),
        signature=re.compile(rb"\\xb6\\xa6\\xf2\\x08|\\x08\\xf2\\xa6\\xb6"),
        alpha=True,
        reader=Reader(loader="vipsload", loader_class="Vips", rate=Rate(8, 1), check=_check),
        WRITER
    )
)
'''
RAW = {"Content-Type": "image/x"}
WRITER = "writer=Writer(save=_save, rate=lambda _pixels, _quality: Rate(8, 1)),"


@contextmanager
def service_with(folder: Path, writer: str) -> Iterator[Served]:
    """`imgsvc serve` from a copy of the packages with one more file."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "imaging" / "formats" / "toy.py").write_text(TOY.replace("WRITER", writer))
    with serve(folder / "run", PYTHONPATH=str(folder)) as served:
        yield served


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with service_with(tmp_path_factory.mktemp("toy"), WRITER) as served:
        yield served.url


@pytest.fixture(scope="module")
def read_only_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with service_with(tmp_path_factory.mktemp("read_only_toy"), "") as served:
        yield served.url


PICTURE = pictures.gradient(320, 200)


def vips(picture: pyvips.Image, comment: str = "") -> bytes:
    """An image in the toy format."""
    picture = picture.copy()
    picture.set_type(pyvips.GValue.gstr_type, "comment", comment)
    with tempfile.NamedTemporaryFile(suffix=".v") as file:
        picture.write_to_file(file.name)
        return Path(file.name).read_bytes()


TOY_IMAGE = vips(PICTURE)


async def upload(http: aiohttp.ClientSession, url: str, body: bytes) -> dict[str, Any]:
    async with http.post(f"{url}/v1/images", data=body, headers=RAW) as response:
        assert response.status == 201, await response.text()
        return await response.json()


async def get(http: aiohttp.ClientSession, url: str) -> tuple[int, str, bytes]:
    async with http.get(url) as response:
        return response.status, response.headers["Content-Type"], await response.read()


async def test_a_new_format_is_read(http: aiohttp.ClientSession, service: str) -> None:
    facts = await upload(http, service, TOY_IMAGE)
    assert (facts["format"], facts["content_type"]) == ("vips", "image/x-vips")
    assert (facts["width"], facts["height"]) == (320, 200)
    assert facts["filename"] == f"{facts['image_id']}.v"
    assert await get(http, service + facts["url"]) == (200, "image/x-vips", TOY_IMAGE)


async def test_a_new_format_is_converted_both_ways(http: aiohttp.ClientSession, service: str, tmp_path: Path) -> None:
    toy = await upload(http, service, TOY_IMAGE)
    status, media_type, body = await get(http, f"{service}{toy['url']}.png?rotate=90&thumb=160")
    assert (status, media_type) == (200, "image/png")
    assert pictures.decode(body).width == 100
    png = await upload(http, service, bytes(PICTURE.pngsave_buffer()))
    for url in (f"{png['url']}.v?flip", f"{png['url']}.vips?flip", f"{toy['url']}?flip"):
        status, media_type, body = await get(http, service + url)
        assert (status, media_type) == (200, "image/x-vips"), body
        (tmp_path / "x.v").write_bytes(body)
        written = pyvips.Image.vipsload(str(tmp_path / "x.v"))
        assert (written - PICTURE.flipver()).abs().max() == 0


async def test_a_new_format_is_refused_for_its_own_reasons(http: aiohttp.ClientSession, service: str) -> None:
    for body, status, text in (
        (vips(PICTURE, comment="refuse me"), 422, "a comment that nobody likes"),
        (TOY_IMAGE[:5000], 422, "corrupt, truncated"),
        (
            b"P5" + TOY_IMAGE,
            415,
            "not an image in a supported format; send one of: avif, gif, jpeg, png, tiff, vips, webp",
        ),
    ):
        async with http.post(f"{service}/v1/transform?blur=1", data=body, headers=RAW) as response:
            assert response.status == status, await response.text()
            assert text in (await response.json())["detail"]


async def test_a_format_may_be_read_but_not_written(http: aiohttp.ClientSession, read_only_service: str) -> None:
    toy = await upload(http, read_only_service, TOY_IMAGE)
    image = read_only_service + toy["url"]
    assert (await get(http, f"{image}.v"))[::2] == (200, TOY_IMAGE), "the original"
    assert (await get(http, f"{image}.webp"))[:2] == (200, "image/webp")
    for url in (f"{image}?thumb=100", f"{image}.auto"):
        assert (await get(http, url))[:2] == (200, "image/jpeg"), url
    status, media_type, body = await get(http, f"{image}.v?thumb=100")
    assert (status, media_type) == (406, "application/problem+json")
    assert b"vips images can be read but not written; use one of: avif gif jpg" in body
    status, _, body = await get(http, f"{image}.bmp")
    assert status == 406
    assert b"use one of: avif gif jpg jpeg png tiff tif webp" in body
