"""Who is to blame for a crash: a planted decoder and planted operations end their renderer, over HTTP."""

import shutil
from collections.abc import Iterator

import aiohttp
import pytest

from tests import pictures
from tests.servers import PACKAGES, ROOT, Served, serve

FORMAT = '''
"""Grey pixels as text. A file that begins with a certain pixel crashes the process that scales it while decoding."""

import ctypes
import re

from imaging.formats.base import Format, ImageFile, Rate, Reader, register
from imaging.geometry import Size
from imaging.types import Image


def _scaled(file: ImageFile, target: Size) -> Image:
    if file.data[:4] == b"251,":
        ctypes.string_at(0)
    return file.load().thumbnail_image(target.width)


CSV = register(
    Format(
        name="csv",
        media_type="image/x-csv",
        extensions=("csv",),
        signature=re.compile(rb"[0-9]+,"),
        alpha=False,
        reader=Reader(loader="csvload", loader_class="Csv", rate=Rate(8, 8), scaled=_scaled),
    )
)
'''
OPERATION = '''
"""Operations that end their renderer: on every image, or with a certain overlay."""

import ctypes

from imaging.types import Image
from transform_service.operations.base import Operation, Reads, operation
from transform_service.operations.watermark import Watermark


@operation("boom")
class Boom(Operation):
    """Crash."""

    examples = ("boom",)
    reads = Reads.POINT
    cost = 1.0

    def apply(self, image: Image) -> Image:
        """Crash."""
        ctypes.string_at(0)
        return image


@operation("stamp")
class Stamp(Watermark):
    """A watermark whose decoder crashes."""

    def apply_with(self, image: Image, overlays: object) -> Image:
        """Crash."""
        ctypes.string_at(0)
        return image
'''


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("quarantine")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "imaging" / "formats" / "toy.py").write_text(FORMAT)
    (folder / "transform_service" / "operations" / "boom.py").write_text(OPERATION)
    with serve(folder / "run", PYTHONPATH=str(folder), RENDERERS="1") as served:
        yield served


def toy(first: int, height: int) -> bytes:
    """An image in the toy format, with this first pixel."""
    return b"\n".join(b",".join(b"%d" % first for _ in range(160)) for _ in range(height)) + b"\n"


async def upload(http: aiohttp.ClientSession, service: Served, body: bytes) -> str:
    async with http.post(f"{service.url}/v1/images", data=body, headers={"Content-Type": "image/x"}) as response:
        assert response.status == 201, await response.text()
        return str((await response.json())["image_id"])


async def get(http: aiohttp.ClientSession, service: Served, url: str) -> tuple[int, str]:
    """The status, and the text of an error."""
    async with http.get(f"{service.url}/v1/images/{url}") as response:
        return response.status, (await response.json())["detail"] if response.status != 200 else ""


async def test_a_victim_with_an_evil_overlay_is_refused_only_with_it(
    http: aiohttp.ClientSession, service: Served
) -> None:
    victim, evil = [await upload(http, service, pictures.jpeg(90, side)) for side in (60, 61)]
    for _ in range(2):
        assert (await get(http, service, f"{victim}.png?stamp={evil}"))[0] == 503
    status, detail = await get(http, service, f"{victim}.png?stamp={evil}")
    assert (status, detail.partition(" 2 times")[0]) == (422, "this transformation crashed its process")
    for chain in ("thumb=20", "blur=2", f"watermark={evil}", ""):
        assert await get(http, service, f"{victim}.png?{chain}") == (200, "")
    other = await upload(http, service, pictures.jpeg(90, 62))
    assert await get(http, service, f"{other}.png?watermark={evil}") == (200, "")


async def test_an_overlay_that_crashes_its_decoder_is_refused_on_every_image(
    http: aiohttp.ClientSession, service: Served
) -> None:
    evil = await upload(http, service, toy(251, 90))
    victims = [await upload(http, service, pictures.jpeg(90, 70 + number)) for number in range(3)]
    for victim in victims[:2]:
        assert (await get(http, service, f"{victim}.png?watermark={evil}"))[0] == 503
    status, detail = await get(http, service, f"{victims[2]}.png?watermark={evil}&thumb=30")
    assert (status, detail.partition(" 2 times")[0]) == (422, "an overlay crashed its decoder")
    for victim in victims:
        assert await get(http, service, f"{victim}.png?blur=1") == (200, "")


async def test_a_crashing_chain_is_refused_and_its_image_is_not(http: aiohttp.ClientSession, service: Served) -> None:
    victim = await upload(http, service, pictures.jpeg(90, 63))
    for chain in ("boom", "boom&flip", "thumb=20&boom", "boom&grayscale", "thumb=21&boom", "boom"):
        assert (await get(http, service, f"{victim}.png?{chain}"))[0] == 503
    status, detail = await get(http, service, f"{victim}.png?boom")
    assert (status, detail.partition(" 2 times")[0]) == (422, "this transformation crashed its process")
    for chain in ("thumb=20", "blur=2", "flip"):
        assert await get(http, service, f"{victim}.png?{chain}") == (200, "")


@pytest.mark.parametrize("chain", ["thumb={}", "thumb={}&flip", "thumb={}&blur=1"])
async def test_an_image_that_crashes_its_decoder_is_refused_for_every_chain(
    http: aiohttp.ClientSession, service: Served, chain: str
) -> None:
    evil = await upload(http, service, toy(251, 100 + len(chain)))
    for size in (20, 21):
        assert (await get(http, service, f"{evil}.png?{chain.format(size)}"))[0] == 503
    for other in ("thumb=22", "blur=2", "thumb=23&flip"):
        status, detail = await get(http, service, f"{evil}.png?{other}")
        assert (status, detail.partition(" 2 times")[0]) == (422, "this image crashed its decoder")
    good = await upload(http, service, toy(250, 100 + len(chain)))
    assert await get(http, service, f"{good}.png?{chain.format(20)}") == (200, "")
