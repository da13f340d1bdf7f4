"""Levels in the whole service: they are made once, used by what only shrinks, and nothing depends on them."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
import pytest
import pyvips
from aiohttp import web

import storage_service.app
import transform_service.app
from imgsvc.embedded import LOCATOR, create_app
from imgsvc.settings import ServeSettings
from jobs_service import dispatcher
from service_kit.errors import Gone, InsufficientStorage, MemoryExceeded, UnprocessableImage
from service_kit.http.server import Runner, listen
from service_kit.jobs import DERIVE, Job
from storage_service.settings import StorageSettings
from tests import pictures
from transform_service.http import handlers
from transform_service.metrics import LEVELS
from transform_service.settings import TransformSettings

WIDTH, HEIGHT = 2400, 1800
LARGE = 3800, 2850


def _grey() -> pyvips.Image:
    return pictures.gradient(WIDTH, HEIGHT, 1)


def _photo(width: int = WIDTH, height: int = HEIGHT) -> pyvips.Image:
    return pictures.gradient(width, height)


def _turned() -> pyvips.Image:
    image = _photo().copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    return image


def _deep() -> pyvips.Image:
    return (_photo().cast("ushort") * 256).cast("ushort").copy(interpretation="rgb16")


def _alpha() -> pyvips.Image:
    return pictures.gradient(WIDTH, HEIGHT, 4)


FILES: dict[str, tuple[Callable[[], bytes], set[int], str]] = {
    "a JPEG": (lambda: _photo().jpegsave_buffer(Q=90), {480, 960}, "jpeg"),
    "a large JPEG": (lambda: _photo(*LARGE).jpegsave_buffer(Q=90), {480, 960, 1920}, "jpeg"),
    "a progressive JPEG": (lambda: _photo().jpegsave_buffer(Q=90, interlace=True), {480, 960}, "jpeg"),
    "a turned JPEG": (lambda: _turned().jpegsave_buffer(Q=90), {480, 960}, "jpeg"),
    "a grey JPEG": (lambda: _grey().jpegsave_buffer(Q=90), {480, 960}, "jpeg"),
    "a CMYK JPEG": (lambda: _photo().colourspace("cmyk").jpegsave_buffer(Q=90), {480, 960}, "jpeg"),
    "a PNG": (lambda: _photo().pngsave_buffer(compression=1), {480, 960}, "png"),
    "a PNG of 16 bits": (lambda: _deep().pngsave_buffer(compression=1), {480, 960}, "png"),
    "a PNG with alpha": (lambda: _alpha().pngsave_buffer(compression=1), {480, 960}, "png"),
    "a PNG with opaque alpha": (lambda: _photo().addalpha().pngsave_buffer(compression=1), {480, 960}, "png"),
    "a WebP": (lambda: _photo().webpsave_buffer(Q=90, effort=0), {480, 960}, "webp"),
    "a WebP with alpha": (lambda: _alpha().webpsave_buffer(Q=90, effort=0), {480, 960}, "webp"),
    "an AVIF": (lambda: _photo().heifsave_buffer(Q=80, effort=0, compression="av1"), {480, 960}, "avif"),
    "a TIFF": (lambda: _photo().tiffsave_buffer(compression="deflate"), {480, 960}, "tiff"),
    "a small JPEG": (lambda: _photo(1900, 1400).jpegsave_buffer(), set(), "jpeg"),
    "a narrow JPEG": (lambda: _photo(4000, 200).jpegsave_buffer(), {1920}, "jpeg"),
}  # fmt: skip


@dataclass
class Service:
    url: str
    apps: tuple[web.Application, ...]
    folder: Path
    http: aiohttp.ClientSession

    async def upload(self, body: bytes, kind: str = "jpeg") -> str:
        headers = {"Content-Type": f"image/{kind}"}
        async with self.http.post(f"{self.url}/v1/images", data=io.BytesIO(body), headers=headers) as response:
            assert response.status == 201, await response.text()
            return str((await response.json())["image_id"])

    async def get(self, image_id: str, chain: str, status: int = 200) -> bytes:
        """The bytes of a variant, after which all levels that it missed are stored."""
        async with self.http.get(f"{self.url}/v1/images/{image_id}{chain}") as response:
            body = await response.read()
            assert response.status == status, body
        maker = self.apps[-1][handlers.JOBS]._levels
        while maker._tasks:
            await asyncio.gather(*maker._tasks.values(), return_exceptions=True)
        return body

    async def delete(self, image_id: str) -> None:
        async with self.http.delete(f"{self.url}/v1/images/{image_id}") as response:
            assert response.status == 204

    def files(self) -> dict[int, Path]:
        found = (self.folder / "blobs" / "levels").rglob("*")
        return {int(path.parents[2].name): path for path in found if path.is_file()}


@asynccontextmanager
async def embedded(
    folder: Path, http: aiohttp.ClientSession, *, memory: int = 0, **storage: object
) -> AsyncIterator[Service]:
    transform = TransformSettings(
        renderers=1,
        spool_dir=folder / "spool",
        result_cache_bytes=0,  # type: ignore[arg-type]
        render_memory_bytes=memory,  # type: ignore[arg-type]
    )
    settings = StorageSettings(**({"data_dir": folder, "variant_bytes": 0} | storage))  # type: ignore[arg-type]
    app = create_app(ServeSettings(data_dir=folder), settings, transform)
    async with running_app(app) as url:
        app[LOCATOR].base_url = url
        yield Service(url, (app,), folder, http)


@asynccontextmanager
async def running_app(app: web.Application) -> AsyncIterator[str]:
    runner = Runner(app)
    await runner.setup()
    yield await listen(runner, "127.0.0.1", 0)
    runner.hurry()
    await runner.cleanup()


@pytest.fixture(autouse=True)
def _no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only renders make levels here: the job of an upload waits for an hour."""
    monkeypatch.setattr(dispatcher, "_POLL", 3600)


@pytest.fixture
async def service(tmp_path: Path, http: aiohttp.ClientSession) -> AsyncIterator[Service]:
    async with embedded(tmp_path, http) as running:
        yield running


@contextmanager
def _counted(**expected: int) -> Iterator[None]:
    """Check how often something happens to levels meanwhile."""
    before = {name: LEVELS.labels(name)._value.get() for name in ("used", "made", "lost", "failed")}
    yield
    seen = {name: int(LEVELS.labels(name)._value.get() - count) for name, count in before.items()}
    assert {name: count for name, count in seen.items() if count} == expected


@pytest.fixture(scope="module")
async def originals(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> AsyncIterator[Service]:
    """A service without levels."""
    async with embedded(tmp_path_factory.mktemp("originals"), http, level_bytes=0) as running:
        yield running


def _difference(first: bytes, second: bytes) -> float:
    """The mean difference of two pictures of one size, in steps of 255."""
    one, other = pictures.decode(first), pictures.decode(second)
    assert (one.width, one.height, one.bands) == (other.width, other.height, other.bands)
    return float(np.abs(one.numpy().astype(int) - other.numpy()).mean())


@pytest.mark.parametrize("name", FILES)
async def test_a_level_is_made_once_and_shows_the_same_picture(service: Service, originals: Service, name: str) -> None:
    make, sides, kind = FILES[name]
    body = make()
    image_id, original = await service.upload(body, kind), await originals.upload(body, kind)
    right = await originals.get(original, ".png?thumb=300")
    with _counted(**({"made": len(sides)} if sides else {})):
        assert _difference(await service.get(image_id, ".png?thumb=300"), right) < 1.5
    assert set(service.files()) == sides
    with _counted(**({"used": 1} if sides else {})):
        assert _difference(await service.get(image_id, ".png?thumb=300"), right) < 1.5


@pytest.mark.parametrize("opaque", [False, True])
async def test_a_level_has_alpha_only_if_the_image_is_not_opaque(service: Service, *, opaque: bool) -> None:
    image = _photo().addalpha() if opaque else _alpha()
    image_id = await service.upload(image.pngsave_buffer(compression=1), "png")
    first = pictures.decode(await service.get(image_id, ".png?thumb=300"))
    assert {path.read_bytes()[:3] for path in service.files().values()} == {b"\xff\xd8\xff" if opaque else b"\x89PN"}
    with _counted(used=1):
        second = pictures.decode(await service.get(image_id, ".png?thumb=300"))
    assert first.bands == second.bands == 4


@pytest.mark.parametrize("output", ["jpg", "png", "webp", "avif", "tiff", "gif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
async def test_a_turned_image_is_turned_once(
    service: Service, originals: Service, output: str, orientation: int
) -> None:
    """The first render makes the level on its way, and the second starts from it."""
    image = _photo().copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    body = image.jpegsave_buffer(Q=95)
    image_id, original = await service.upload(body), await originals.upload(body)
    right, most = await originals.get(original, f".{output}?thumb=530"), 30 if output == "gif" else 3  # of 256 colours
    with _counted(made=2):
        assert _difference(await service.get(image_id, f".{output}?thumb=530"), right) < most
    with _counted(used=1):
        second = await service.get(image_id, f".{output}?thumb=530")
    assert _difference(second, right) < most
    assert not pictures.decode(second).get_typeof("orientation") or pictures.decode(second).get("orientation") == 1


@pytest.mark.parametrize("chain", [
    ".png?rotate=90&thumb=300", ".png?resize=300x300,cover&blur=3", ".jpg?blur=60&thumb=200",
    ".png?crop=301,203,1501x1201&thumb=300", ".png?crop=1000x900,southeast&resize=90x90,cover&rotate=90",
    ".png?grayscale&flip&thumb=250&pad=300x300", ".png?resize=200x400,fill", ".jpg?thumb=500&rotate=10",
])  # fmt: skip
async def test_every_chain_that_begins_with_a_downscale_or_a_crop_uses_it(
    service: Service, originals: Service, chain: str
) -> None:
    body = _turned().jpegsave_buffer(Q=90)
    image_id, original = await service.upload(body), await originals.upload(body)
    right = await originals.get(original, chain)
    assert _difference(await service.get(image_id, chain), right) < 1.5
    with _counted(used=1):
        assert _difference(await service.get(image_id, chain), right) < 1.5


@pytest.mark.parametrize("chain", ["?thumb=900", "?crop=500x500&thumb=200", "?rotate=0", "?thumb=300&profile=keep", ""])
async def test_everything_else_uses_the_original(service: Service, chain: str) -> None:
    image_id = await service.upload(_photo().jpegsave_buffer(Q=90))
    await service.get(image_id, "?thumb=300")
    with _counted():
        await service.get(image_id, chain)


async def test_the_same_bytes_have_the_same_levels_until_the_last_image_is_deleted(service: Service) -> None:
    body = _photo().jpegsave_buffer(Q=90)
    first, second = await service.upload(body), await service.upload(body)
    await service.get(first, "?thumb=300")
    with _counted(used=1):
        await service.get(second, "?thumb=300")
    await service.delete(first)
    assert set(service.files()) == {480, 960}
    await service.delete(second)
    assert not service.files()


@pytest.mark.parametrize("damage", ["missing", "torn", "garbage", "another"])
async def test_a_damaged_level_is_made_again_and_the_client_gets_its_picture(service: Service, damage: str) -> None:
    image_id = await service.upload(_photo().jpegsave_buffer(Q=90))
    first = await service.get(image_id, ".png?thumb=300")
    file = service.files()[480]
    size = file.stat().st_size
    if damage == "missing":
        file.unlink()
    elif damage == "torn":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "garbage":
        file.write_bytes(file.read_bytes()[:2] + bytes(size - 2))
    else:
        file.write_bytes((pictures.png_header(800, 600) + bytes(size))[:size])
    with _counted(lost=1, made=1):
        assert await service.get(image_id, ".png?thumb=300") == first
    with _counted(used=1):
        await service.get(image_id, ".png?thumb=300")


async def test_a_flipped_bit_in_a_level_is_noticed_by_a_new_process(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with embedded(tmp_path, http) as service:
        image_id = await service.upload(_photo().jpegsave_buffer(Q=90))
        first = await service.get(image_id, ".png?thumb=300")
        file = service.files()[480]
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    async with embedded(tmp_path, http) as service:
        with _counted(lost=1, made=1):
            assert await service.get(image_id, ".png?thumb=300") == first


async def test_a_failure_in_optional_work_is_no_failure_of_a_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderers = service.apps[0][transform_service.app.RENDERERS]

    async def too_much(*_: object, **__: object) -> None:
        raise MemoryExceeded

    monkeypatch.setattr(renderers._idle, "run", too_much)
    image_id = await service.upload(_photo().jpegsave_buffer(Q=90))
    for side in range(3):
        service.apps[0][handlers.JOBS]._levels._failed.clear()
        with _counted(failed=1):
            await service.get(image_id, f"?thumb={100 + side}")


async def test_levels_that_do_not_fit_on_the_spool_are_left_out(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderers = service.apps[0][transform_service.app.RENDERERS]
    run = renderers._run

    async def full(*arguments: object, **options: object) -> object:
        if arguments[-1]:  # the files of levels
            raise InsufficientStorage("the disk is full")
        return await run(*arguments, **options)

    monkeypatch.setattr(renderers, "_run", full)
    image_id = await service.upload(_photo().pngsave_buffer(compression=1), "png")
    with _counted(failed=1):
        await service.get(image_id, ".jpg?thumb=300")


async def test_a_chain_that_fails_is_not_the_fault_of_a_level(service: Service) -> None:
    image_id = await service.upload(_photo().jpegsave_buffer(Q=90))
    await service.get(image_id, "?thumb=300")
    body = bytearray(pictures.noise(300, 200).jpegsave_buffer())
    body[9000:9300] = b"\xff\xd1" * 150
    damaged = await service.upload(bytes(body))
    with _counted():
        await service.get(image_id, f"?thumb=300&watermark={damaged}", 422)
    assert set(service.files()) == {480, 960}


async def test_without_a_budget_there_are_no_levels(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with embedded(tmp_path, http, level_bytes=0) as service:
        image_id = await service.upload(_photo().jpegsave_buffer(Q=90))
        with _counted():
            await service.get(image_id, "?thumb=300")
    assert not service.files()


async def test_a_level_that_cannot_be_stored_delays_nobody(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with embedded(tmp_path, http, level_bytes=1000) as service:
        image_id = await service.upload(_photo().jpegsave_buffer(Q=90))
        with _counted(failed=1):
            await service.get(image_id, "?thumb=300")
        with _counted():  # it is left alone for a while
            await service.get(image_id, "?thumb=300")
    assert not service.files()


async def test_the_services_hand_levels_over_http(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    storage = storage_service.app.create_app(StorageSettings(data_dir=tmp_path))
    async with running_app(storage) as storage_url:
        settings = TransformSettings(renderers=1, spool_dir=tmp_path / "spool", storage_url=storage_url)
        transform = transform_service.app.create_app(settings)
        async with running_app(transform) as url:
            service = Service(url, (storage, transform), tmp_path, http)
            image_id = await Service(storage_url, (), tmp_path, http).upload(
                _photo(*LARGE).pngsave_buffer(compression=1), "png"
            )
            with _counted(made=3):
                await service.get(image_id, ".jpg?thumb=300")
            with _counted(used=2):
                await service.get(image_id, ".jpg?thumb=301")
                await service.get(image_id, ".jpg?thumb=1001")
            service.files()[480].unlink()
            with _counted(lost=1, made=1):
                await service.get(image_id, ".jpg?thumb=302")
            with _counted(used=1):
                await service.get(image_id, ".jpg?thumb=303")


async def test_levels_in_an_object_store_are_used_and_forgotten(
    tmp_path: Path, http: aiohttp.ClientSession, s3_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_settings.items():
        monkeypatch.setenv(name, value)
    async with embedded(tmp_path, http, blob_url="s3://bucket/levels") as service:
        image_id = await service.upload(_photo().jpegsave_buffer(Q=90))
        with _counted(made=2):
            await service.get(image_id, "?thumb=300")
        with _counted(used=2):
            await service.get(image_id, "?thumb=300")
            await service.get(image_id, "?thumb=301")
        cached = tmp_path / "spool" / "sources"
        assert len([path for path in cached.iterdir() if len(path.name) == 64]) == 2
        await service.delete(image_id)
        assert not [path for path in cached.iterdir() if len(path.name) == 64]
        again = await service.upload(_photo().jpegsave_buffer(Q=90))
        with _counted(made=2):
            await service.get(again, "?thumb=300")


async def test_simultaneous_renders_make_levels_once(service: Service) -> None:
    image_id = await service.upload(_photo().pngsave_buffer(compression=1), "png")
    with _counted(made=2):
        await asyncio.gather(*(service.get(image_id, f".jpg?thumb={side}") for side in (200, 210, 220, 230)))


async def test_levels_disappear_when_they_are_turned_off(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with embedded(tmp_path, http) as service:
        image_id = await service.upload(_photo().jpegsave_buffer(Q=90))
        await service.get(image_id, "?thumb=300")
        assert service.files()
    async with embedded(tmp_path, http, level_bytes=0) as service:
        async with asyncio.timeout(20):
            while service.files():
                await asyncio.sleep(0.01)
        with _counted():
            await service.get(image_id, "?thumb=300")


async def test_levels_that_take_more_memory_than_there_is_fail_for_good(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with embedded(tmp_path, http, memory=60 * 1024**2) as service:
        image_id = await service.upload(_photo(5000, 4000).jpegsave_buffer(Q=90, interlace=True))
        job = Job(kind=DERIVE, sha256="a" * 64, image_id=image_id, claim=1)
        with pytest.raises(UnprocessableImage, match="more than renders may"):
            await service.apps[0][handlers.JOBS].run(job)


async def test_a_job_for_an_image_that_is_gone_says_so(service: Service) -> None:
    image_id = await service.upload(_photo().jpegsave_buffer(Q=90))
    await service.delete(image_id)
    with pytest.raises(Gone):
        await service.apps[0][handlers.JOBS].run(Job(kind=DERIVE, sha256="a" * 64, image_id=image_id, claim=1))
