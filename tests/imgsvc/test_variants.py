"""Stored variants in the whole service: precomputed ones and hot ones, found before any render, gone with the image."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

import storage_service.app
import transform_service.app
from imaging import encoding
from imgsvc import counting
from jobs_service import dispatcher
from service_kit.errors import Unavailable, UnprocessableImage
from service_kit.jobs import DERIVE, Job
from storage_service import variants as variants_module
from storage_service.http.receiving import LIBRARY
from storage_service.http.usage import PRECOMPUTED, USAGE
from storage_service.settings import StorageSettings
from tests import pictures
from tests.imgsvc.sites import Site, bearer
from tests.imgsvc.test_levels import Service, embedded, running_app
from transform_service.http import handlers
from transform_service.metrics import VARIANTS
from transform_service.settings import TransformSettings
from transform_service.sources.stored import _Variants

CHAIN = "webp?thumb=300&blur=2"
URL = f".{CHAIN}"


@pytest.fixture(autouse=True)
def _no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run jobs themselves: the dispatcher waits for an hour."""
    monkeypatch.setattr(dispatcher, "_POLL", 3600)


@pytest.fixture
async def service(tmp_path: Path, http: aiohttp.ClientSession) -> AsyncIterator[Service]:
    """A service without levels, which other tests cover, and without a result cache."""
    async with embedded(tmp_path, http, level_bytes=0, variant_bytes=10**9) as running:
        yield running


@contextmanager
def counted(**expected: int) -> Iterator[None]:
    """Check how often something happens to variants meanwhile."""
    before = {name: VARIANTS.labels(name)._value.get() for name in ("used", "stored", "lost", "failed")}
    yield
    seen = {name: int(VARIANTS.labels(name)._value.get() - count) for name, count in before.items()}
    assert {name: count for name, count in seen.items() if count} == expected


def files(service: Service) -> list[Path]:
    return [path for path in (service.folder / "blobs" / "variants").rglob("*") if path.is_file()]


async def get(service: Service, image_id: str, chain: str = URL, **headers: str) -> tuple[bytes, str]:
    """A variant, and its Cache-Status, after which what was to be stored is stored."""
    async with service.http.get(f"{service.url}/v1/images/{image_id}{chain}", headers=headers) as response:
        body = await response.read()
        assert response.status == 200, body
    stored = service.apps[-1][handlers.TRANSFORMER]._variants
    while stored._tasks:
        await asyncio.gather(*stored._tasks.values(), return_exceptions=True)
    return body, response.headers["Cache-Status"]


async def precompute(service: Service, image_id: str, *chains: str) -> None:
    """Do the job of an image, while these chains are precomputed."""
    precomputed = service.apps[0][LIBRARY]._derived.precomputed
    for chain in chains:
        await precomputed.add(chain)
    job = Job(kind=DERIVE, sha256="a" * 64, image_id=image_id, chains=chains, claim=1)
    try:
        await service.apps[-1][handlers.JOBS].run(job)
    finally:
        await precomputed._metadata.change("DELETE FROM precomputed")
        await precomputed.chains()


async def test_what_is_rendered_again_is_stored_and_found_before_any_render(service: Service) -> None:
    image_id = await service.upload(pictures.jpeg(900, 700))
    with counted(stored=1):
        first, status = await get(service, image_id)
        assert (status, files(service)) == ("imgsvc; fwd=miss", [])
        await get(service, image_id)
    with counted(used=2):
        assert await get(service, image_id) == (first, "imgsvc; hit")
        assert (await get(service, image_id, ".webp?blur=0&t=1&thumb=300&blur=2.0"))[0] == first, "the same plan"
    assert files(service)[0].read_bytes() == first


async def test_the_stored_variants_of_an_image_are_listed(service: Service) -> None:
    image_id, other = [await service.upload(pictures.jpeg(900, 700 + n)) for n in range(2)]
    await precompute(service, image_id, "jpg?thumb=100")
    for _ in range(2):
        picture, _ = await get(service, image_id)
    await service.apps[0][LIBRARY]._derived.precomputed.add("jpg?thumb=100")
    await service.apps[0][PRECOMPUTED].chains()

    async def listed(image_id: str) -> list[dict[str, object]]:
        async with service.http.get(f"{service.url}/v1/images/{image_id}/variants") as response:
            assert response.status == 200
            return list((await response.json())["variants"])

    found = {each.pop("chain"): each for each in await listed(image_id)}
    assert found.keys() == {CHAIN, "jpg?thumb=100"}
    assert all(datetime.fromisoformat(str(each.pop("used_at"))) <= datetime.now(UTC) for each in found.values())
    assert found[CHAIN] == {"url": f"/v1/images/{image_id}{URL}", "bytes": len(picture), "precomputed": False}
    assert found["jpg?thumb=100"]["precomputed"]
    assert await listed(other) == []
    async with service.http.get(f"{service.url}/v1/images/{'0' * 32}/variants") as response:
        assert response.status == 404


async def test_a_precomputed_variant_needs_no_render_and_is_the_same(service: Service) -> None:
    image_id, other = [await service.upload(pictures.jpeg(900, 700 + n)) for n in range(2)]
    with counted(stored=2):
        await precompute(service, image_id, CHAIN, "jpg?thumb=100&rotate=90", "jpg")
    with counted():
        await precompute(service, image_id, CHAIN)
    with counted(used=2):
        assert (await get(service, image_id))[1] == "imgsvc; hit"
        await get(service, image_id, "?rotate=90&thumb=100")
    # A live render is the same to the byte.
    live = (await get(service, image_id, ".webp?thumb=300&blur=2&rotate=0"))[0]
    assert (await get(service, image_id))[0] == live
    with counted():
        assert (await get(service, other))[1] == "imgsvc; fwd=miss"


async def test_a_live_render_of_a_precomputed_chain_is_stored(service: Service) -> None:
    await service.apps[0][LIBRARY]._derived.precomputed.add(CHAIN)
    image_id = await service.upload(pictures.jpeg(900, 700))
    with counted(stored=1):
        await get(service, image_id)


@pytest.mark.parametrize("damage", ["missing", "torn", "garbage"])
async def test_a_damaged_variant_is_rendered_and_stored_again(service: Service, damage: str) -> None:
    image_id = await service.upload(pictures.jpeg(900, 700))
    await precompute(service, image_id, CHAIN)
    (file,) = files(service)
    good = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(good[:-10] if damage == "torn" else bytes(len(good)))
    with counted(lost=1):
        assert await get(service, image_id) == (good, "imgsvc; fwd=miss")
    assert files(service) == []
    with counted(stored=1):
        await get(service, image_id)
    with counted(used=1):
        assert await get(service, image_id) == (good, "imgsvc; hit")


async def test_variants_go_with_the_last_image_of_their_content(service: Service) -> None:
    body = pictures.jpeg(900, 700)
    first, second = [await service.upload(body) for _ in range(2)]
    await precompute(service, first, CHAIN)
    with counted(used=1):
        await get(service, second)
    await service.delete(first)
    with counted(used=1):
        await get(service, second)
    await service.delete(second)
    assert files(service) == []


async def test_a_new_version_of_the_encoder_does_not_use_the_variants_of_the_old_one(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = await service.upload(pictures.jpeg(900, 700))
    await precompute(service, image_id, CHAIN)

    monkeypatch.setattr(encoding, "VERSION", 99)
    monkeypatch.setattr(variants_module, "VERSION", 99)
    service.apps[-1][handlers.TRANSFORMER]._plans.clear()
    with counted():
        assert (await get(service, image_id))[1] == "imgsvc; fwd=miss"


async def test_what_an_image_cannot_become_is_said_and_the_rest_is_made(service: Service) -> None:
    image_id = await service.upload(pictures.jpeg(900, 700))
    with counted(stored=1), pytest.raises(UnprocessableImage, match=r"^heic\?thumb=5: the format 'heic' is not"):
        await precompute(service, image_id, "jpg?page=9", "heic?thumb=5", CHAIN)


async def test_a_variant_that_shows_another_image_is_not_stored(service: Service) -> None:
    image_id, mark = [await service.upload(pictures.jpeg(900, 700 + n)) for n in range(2)]
    with counted():
        for _ in range(3):
            await get(service, image_id, f".webp?thumb=300&watermark={mark}")
    await counting.add(service.apps[0])
    (chain,) = await service.apps[0][USAGE].chains(1)
    assert chain.chain == "webp?thumb=300&watermark=*", "the ID is that of an image that may be deleted"


async def test_a_store_that_does_not_answer_is_no_reason_to_fail(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = await service.upload(pictures.jpeg(900, 700))
    await precompute(service, image_id, CHAIN)
    first = (await get(service, image_id))[0]

    def failing(*_: object) -> object:
        raise Unavailable("the blob store does not respond")

    monkeypatch.setattr(_Variants, "local", failing)
    with counted(failed=1):
        assert await get(service, image_id) == (first, "imgsvc; fwd=miss")


async def test_the_least_used_variants_go_first(service: Service) -> None:
    images = [await service.upload(pictures.jpeg(900, 700 + n)) for n in range(3)]
    for image_id in images:
        await precompute(service, image_id, CHAIN)
    library = service.apps[0][LIBRARY]
    await library._metadata.change("UPDATE variants SET used_at = 1")
    await get(service, images[1])
    stored = service.apps[-1][handlers.TRANSFORMER]._variants
    await library.note_variants(stored._to_note)
    await library._derived.variants._evict(1)
    await library._derived.variants._evict(1)
    with counted(used=1):
        await get(service, images[1])


async def test_without_a_budget_nothing_is_stored(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with embedded(tmp_path, http, level_bytes=0, variant_bytes=0) as service:
        image_id = await service.upload(pictures.jpeg(900, 700))
        with counted():
            await precompute(service, image_id, CHAIN)
            for _ in range(3):
                await get(service, image_id)


async def test_conditions_and_head_mean_the_same_for_stored_variants(service: Service) -> None:
    image_id = await service.upload(pictures.jpeg(900, 700))
    await precompute(service, image_id, CHAIN)
    url = f"{service.url}/v1/images/{image_id}{URL}"
    async with service.http.get(url) as answer:
        body, etag = await answer.read(), answer.headers["ETag"]
    for headers, status in (({"If-None-Match": etag}, 304), ({"If-Match": '"x"'}, 412), ({"Range": "bytes=0-9"}, 200)):
        async with service.http.get(url, headers=headers) as answer:
            assert answer.status == status
            assert status != 200 or await answer.read() == body
    async with service.http.head(url) as answer:
        assert (answer.status, answer.content_length) == (200, len(body))


async def test_the_services_hand_variants_over_http(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    storage = storage_service.app.create_app(StorageSettings(data_dir=tmp_path))
    async with running_app(storage) as storage_url:
        settings = TransformSettings(
            renderers=1, spool_dir=tmp_path / "spool", storage_url=storage_url, result_cache_bytes=0,
            accel_prefix="/originals/", blob_url=f"file://{tmp_path}/blobs",
        )  # type: ignore[arg-type]  # fmt: skip
        transform = transform_service.app.create_app(settings)
        async with running_app(transform) as url:
            service = Service(url, (storage, transform), tmp_path, http)
            image_id = await Service(storage_url, (), tmp_path, http).upload(pictures.jpeg(900, 700))
            with counted(stored=1):
                await precompute(service, image_id, CHAIN)
            (file,) = files(service)
            async with http.get(f"{url}/v1/images/{image_id}{URL}") as answer:
                assert answer.headers["X-Accel-Redirect"] == f"/originals/{file.relative_to(tmp_path / 'blobs')}"
                assert (answer.headers["Content-Type"], await answer.read()) == ("image/webp", b"")
                assert answer.headers["Usage"] == f"variant 0.0 {CHAIN}"
            file.unlink()
            with counted(lost=1):
                await get(service, image_id)
            with counted(stored=1):
                await get(service, image_id)


async def test_variants_in_an_object_store_are_used_and_forgotten(
    tmp_path: Path, http: aiohttp.ClientSession, s3_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_settings.items():
        monkeypatch.setenv(name, value)
    async with embedded(tmp_path, http, blob_url="s3://bucket/variants", variant_bytes=10**9, level_bytes=0) as service:
        image_id = await service.upload(pictures.jpeg(900, 700))
        with counted(stored=1):
            await precompute(service, image_id, CHAIN)
        with counted(used=2):
            first = await get(service, image_id)
            assert await get(service, image_id) == first
        await service.delete(image_id)
        again = await service.upload(pictures.jpeg(900, 700))
        with counted():
            assert (await get(service, again))[0] == first[0]


async def test_usage_says_what_a_stored_variant_is(service: Service) -> None:
    image_id = await service.upload(pictures.jpeg(900, 700))
    await precompute(service, image_id, CHAIN)

    await get(service, image_id)
    await counting.add(service.apps[0])
    (chain,) = await service.apps[0][USAGE].chains(1)
    assert (chain.chain, chain.outcomes) == (CHAIN, {"variant": 1})


async def test_a_key_of_a_space_does_not_learn_what_visitors_of_another_one_request(closed: Site) -> None:
    """Images with the same bytes share their variants."""
    keys = {space: closed.new_key("upload", "metadata", space=space) for space in ("mine", "theirs")}
    ids = {space: await closed.upload(bearer(key)) for space, key in keys.items()}
    _, info = await closed.json("GET", f"/v1/images/{ids['mine']}/info", closed.key)
    with closing(sqlite3.connect(closed.folder / "images.sqlite3")) as database:
        for used_at, chain in enumerate(("webp", "jpg", "jpg")):
            database.execute(
                "INSERT INTO variants (sha256, name, version, bytes, digest, about, used_at)"
                " VALUES (?, ?, ?, 9, '', ?, ?)",
                [info["sha256"], str(used_at) * 64, encoding.VERSION, chain, used_at],
            )
        database.commit()
    path = f"/v1/images/{ids['mine']}/variants"
    _, found = await closed.json("GET", path, closed.key)
    assert [each["chain"] for each in found["variants"]] == ["jpg", "webp"]  # type: ignore[attr-defined]
    assert await closed.json("GET", path, keys["mine"]) == (200, {"variants": []})
    assert (await closed.json("GET", path, keys["theirs"]))[0] == 404
