"""Real photos in every format and through chains, compared with libvips called directly."""

import asyncio
import os
import zlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import pyvips

from tests import pictures
from tests.end_to_end.conftest import Service

T = TypeVar("T")

# The largest mean difference of a channel (0 to 255) between libvips' pixels and the decoded response.
FORMATS = {"jpg": 8.0, "png": 0.0, "webp": 8.0, "avif": 8.0, "gif": 12.0, "tiff": 0.0}
CHAINS = [
    "rotate=90&blur=10",
    "thumb=200",
    "compress=40",
    "rotate=33.5",
    "thumb=200&rotate=90&blur=3",
    "blur=3&rotate=90&thumb=200",
    "rotate=33.5&thumb=400&blur=1.5",
]
_AT_ONCE = 4
_LARGE = 500_000
"""Bytes from which a photo is slow: it gets only a sixth of the treatments, unless PHOTOS=all."""


@pytest.fixture(scope="module")
def photos(service: Service, wallpapers: list[Path]) -> list[Path]:
    """Every twelfth photo. With PHOTOS=all, `imgsvc serve` gets all of them."""
    every = [*wallpapers, *pictures.science_photos()]
    return every if service.kind == "embedded" and os.environ.get("PHOTOS") == "all" else every[::12]


@pytest.fixture(scope="module")
async def uploaded(service: Service, photos: list[Path]) -> dict[Path, str]:
    return {photo: await service.upload(photo.read_bytes(), photo.name) for photo in photos}


async def test_every_original_is_returned_byte_for_byte(service: Service, uploaded: dict[Path, str]) -> None:
    for photo, image_id in uploaded.items():
        status, body, _ = await service.get(f"/v1/images/{image_id}")
        assert status == 200
        assert body == photo.read_bytes(), photo


@pytest.mark.timeout(900)
async def test_every_photo_converts_to_every_format(service: Service, uploaded: dict[Path, str]) -> None:
    async def check(photo: Path, image_id: str) -> None:
        expected = await asyncio.to_thread(_direct, photo, "")
        for suffix, tolerance in _some(photo, list(FORMATS.items())):
            _, body, response = await service.get(f"/v1/images/{image_id}.{suffix}")
            assert response.status == 200, (photo, suffix, body[:500])
            assert response.content_type == f"image/{'jpeg' if suffix == 'jpg' else suffix}"
            if photo.suffix == f".{suffix}":
                assert body == await asyncio.to_thread(photo.read_bytes), photo
                continue
            difference = await asyncio.to_thread(_mean_difference, body, expected)
            assert difference <= tolerance, (photo, suffix, difference)

    await _all(check, uploaded)


@pytest.mark.timeout(900)
async def test_every_photo_is_transformed_by_chains(service: Service, uploaded: dict[Path, str]) -> None:
    async def check(photo: Path, image_id: str) -> None:
        for chain in _some(photo, CHAINS):
            expected = await asyncio.to_thread(_direct, photo, chain)
            # As PNG, to get exactly the rendered pixels. But compress=40 makes a small palette, and a downscale that
            # the planner moves before a quarter turn rounds in another order.
            status, body, _ = await service.get(f"/v1/images/{image_id}.png?{chain}")
            assert status == 200, (photo, chain, body[:500])
            difference = await asyncio.to_thread(_mean_difference, body, expected)
            assert difference <= (9.0 if "compress" in chain else 0.3), (photo, chain, difference)

    await _all(check, uploaded)


async def test_the_format_stays_without_an_extension(service: Service, uploaded: dict[Path, str]) -> None:
    for photo, image_id in list(uploaded.items())[:12]:
        _, before, original = await service.get(f"/v1/images/{image_id}")
        status, body, response = await service.get(f"/v1/images/{image_id}?thumb=100")
        assert status == 200, photo
        assert response.content_type == original.content_type
        assert body != before


def _some(photo: Path, treatments: list[T]) -> list[T]:
    """The treatments of one photo. All photos together get all of them."""
    if photo.stat().st_size < _LARGE or os.environ.get("PHOTOS") == "all":
        return treatments
    return treatments[zlib.crc32(str(photo).encode()) % 6 :: 6]


async def _all(check: Callable[[Path, str], Coroutine[None, None, None]], uploaded: dict[Path, str]) -> None:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(photo: Path, image_id: str) -> None:
        async with places:
            await check(photo, image_id)

    async with asyncio.TaskGroup() as group:
        for photo, image_id in uploaded.items():
            group.create_task(one(photo, image_id))


def _mean_difference(body: bytes, expected: np.ndarray) -> float:
    image = pictures.pixels(pictures.decode(body))
    assert image.shape == expected.shape
    return float(np.abs(image - expected).mean())


def _direct(photo: Path, chain: str) -> np.ndarray:
    """The chain by libvips alone: a full decode, unless a thumbnail comes first."""
    steps = [pair.split("=") for pair in chain.split("&") if pair]
    if steps and steps[0][0] == "thumb":
        side = int(steps.pop(0)[1])
        small = pyvips.Image.thumbnail(str(photo), side, height=side, size="down")
        exact = {"height": small.height, "size": "force"}  # each direction by its own factor
        image = pyvips.Image.thumbnail(str(photo), small.width, **exact, output_profile="srgb").copy_memory()
    else:
        image = pyvips.Image.new_from_file(str(photo)).copy_memory()
        if image.get_typeof("icc-profile-data"):
            image = image.icc_transform("srgb", embedded=True)
    image = image.colourspace("srgb").cast("uchar")
    for name, value in steps:
        image = _step(image, name, float(value)).copy_memory()  # otherwise libvips computes overlaps many times
    return pictures.pixels(image)


def _step(image: pyvips.Image, name: str, value: float) -> pyvips.Image:
    if name == "thumb":
        small = image.thumbnail_image(int(value), height=int(value), size="down")
        return image.thumbnail_image(small.width, height=small.height, size="force")
    if name == "compress":
        return image
    if name == "rotate" and value == 90:
        return image.rot90()
    if name == "rotate" and not image.hasalpha():
        image = image.addalpha()
    format_, alpha = image.format, image.hasalpha()
    image = image.premultiply() if alpha else image
    image = image.rotate(value) if name == "rotate" else image.gaussblur(value, precision="float")
    return (image.unpremultiply() if alpha else image).rint().cast(format_)


async def test_an_ultra_hdr_photo_stays_one(service: Service) -> None:
    """Through workers in their sandbox, and with what the upload found out."""
    place = pyvips.Image.xyz(800, 600)
    scene = (place[0] / 200).bandjoin([place[1] / 300, place[0] / 800]).cast("float").copy(interpretation="scrgb")
    image_id = await service.upload(bytes(scene.uhdrsave_buffer()))
    async with service.http.get(f"{service.url}/v1/images/{image_id}/info") as response:
        assert (await response.json())["gain_map"] is True
    for query, size in (("thumb=200", (100, 75)), ("rotate=90", (300, 400)), ("crop=200x100", (100, 50))):
        status, body, _ = await service.get(f"/v1/images/{image_id}.jpg?{query}")
        assert status == 200
        found = pyvips.Image.uhdrload_buffer(body)
        gain_map = pyvips.Image.jpegload_buffer(bytes(found.get("gainmap-data")))
        assert (gain_map.width, gain_map.height) == size
    assert b"urn:iso:std:iso:ts:21496" not in (await service.get(f"/v1/images/{image_id}.webp?thumb=200"))[1]
    status, body, _ = await service.get(f"/v1/images/{image_id}.webp?thumb=200&profile=keep")
    assert status == 200
    assert b"ICCP" in body
