"""Storing images: the *Images* table of the HTTP contract, over HTTP."""

import hashlib
import re
import uuid

import aiohttp
import pytest

from tests import pictures
from tests.end_to_end.conftest import Service

BODY = pictures.jpeg(160, 90)


@pytest.fixture(scope="module")
async def image_id(service: Service) -> str:
    return await service.upload(BODY)


async def _post(service: Service, path: str, field: str) -> tuple[int, dict[str, object], aiohttp.ClientResponse]:
    form = aiohttp.FormData()
    form.add_field(field, BODY, filename="x.jpg")
    async with service.http.post(f"{service.url}{path}", data=form) as response:
        return response.status, await response.json(content_type=None), response


@pytest.mark.parametrize("path", ["/v1/images", "/images", "/image", "/v1/image"])
@pytest.mark.parametrize("field", ["image", "Image", "IMAGE"])
async def test_an_upload_returns_the_facts_of_the_image(service: Service, path: str, field: str) -> None:
    status, facts, response = await _post(service, path, field)
    assert status == 201
    assert re.fullmatch(r"[0-9a-f]{32}", str(facts["image_id"]))
    assert uuid.UUID(str(facts["image_id"])).version == 4
    assert facts["filename"] == f"{facts['image_id']}.jpg"
    assert response.headers["Location"] == facts["url"] == f"/v1/images/{facts['image_id']}"
    assert (facts["format"], facts["content_type"]) == ("jpeg", "image/jpeg")
    assert (facts["width"], facts["height"], facts["frames"], facts["bytes"]) == (160, 90, 1, len(BODY))
    assert facts["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert facts["visibility"] == "public"
    assert re.match(r"20\d\d-\d\d-\d\dT.*\+00:00", str(facts["created_at"]))


async def test_raw_bytes_can_be_uploaded(service: Service) -> None:
    for chunked in (False, True):
        body = _slowly(BODY) if chunked else BODY
        headers = {"Content-Type": "image/jpeg"}
        async with service.http.post(f"{service.url}/v1/images", data=body, headers=headers) as response:
            assert response.status == 201
            assert (await response.json())["bytes"] == len(BODY)


async def _slowly(body: bytes):  # noqa: ANN202
    for start in range(0, len(body), 500):
        yield body[start : start + 500]


async def test_identical_uploads_get_different_ids(service: Service) -> None:
    first, second = await service.upload(BODY), await service.upload(BODY)
    assert first != second
    async with service.http.delete(f"{service.url}/v1/images/{first}") as response:
        assert response.status == 204
    status, body, _ = await service.get(f"/v1/images/{second}")
    assert (status, body) == (200, BODY)


@pytest.mark.parametrize("prefix", ["/v1/images", "/images", "/image"])
async def test_an_original_is_returned_unchanged(service: Service, image_id: str, prefix: str) -> None:
    status, body, response = await service.get(f"{prefix}/{image_id}")
    assert (status, body) == (200, BODY)
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["Content-Length"] == str(len(BODY))
    assert response.headers["ETag"] == f'"{hashlib.sha256(BODY).hexdigest()}"'
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Timing-Allow-Origin"] == "*"
    assert response.headers["API-Version"] == "1"


async def test_head_has_the_headers_and_no_body(service: Service, image_id: str) -> None:
    for path in (f"/v1/images/{image_id}", f"/v1/images/{image_id}.png", f"/v1/images/{image_id}?thumb=20"):
        _, _, got = await service.get(path)
        async with service.http.head(f"{service.url}{path}") as response:
            assert response.status == 200
            assert await response.read() == b""
            assert response.headers["Content-Length"] == got.headers["Content-Length"]
            assert response.headers["ETag"] == got.headers["ETag"]


@pytest.mark.parametrize(
    ("header", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=0-99999999", 206, slice(0, None)),
        ("bytes=5-2", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
        ("bytes=0-1,5-6", 200, slice(None)),
    ],
)
async def test_ranges(service: Service, image_id: str, header: str, status: int, part: slice) -> None:
    got, body, response = await service.get(f"/v1/images/{image_id}", headers={"Range": header})
    assert (got, body) == (status, BODY[part])
    if status == 206:
        start, end, _ = part.indices(len(BODY))
        assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(BODY)}"


async def test_a_range_beyond_the_end_is_refused(service: Service, image_id: str) -> None:
    status, _, response = await service.get(f"/v1/images/{image_id}", headers={"Range": "bytes=99999999-"})
    assert status == 416
    assert response.headers["Content-Range"] == f"bytes */{len(BODY)}"


async def test_a_range_of_another_etag_is_ignored(service: Service, image_id: str) -> None:
    headers = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert (await service.get(f"/v1/images/{image_id}", headers=headers))[:2] == (200, BODY)


@pytest.mark.parametrize("variant", ["", ".jpg", ".png", "?thumb=20", ".webp?rotate=90"])
async def test_a_current_copy_gets_304(service: Service, image_id: str, variant: str) -> None:
    path = f"/v1/images/{image_id}{variant}"
    _, _, response = await service.get(path)
    for value in (response.headers["ETag"], f'"x", W/{response.headers["ETag"]}', "*"):
        status, body, again = await service.get(path, headers={"If-None-Match": value})
        assert (status, body) == (304, b"")
        assert again.headers["ETag"] == response.headers["ETag"]
        assert again.headers["Cache-Control"] == response.headers["Cache-Control"]
    assert (await service.get(path, headers={"If-None-Match": '"x"'}))[0] == 200


async def test_an_unmodified_original_gets_304(service: Service, image_id: str) -> None:
    _, _, response = await service.get(f"/v1/images/{image_id}")
    modified = response.headers["Last-Modified"]
    assert (await service.get(f"/v1/images/{image_id}", headers={"If-Modified-Since": modified}))[0] == 304
    long_ago = {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}
    assert (await service.get(f"/v1/images/{image_id}", headers=long_ago))[0] == 200


async def test_info_has_all_facts_and_working_links(service: Service, image_id: str) -> None:
    async with service.http.get(f"{service.url}/v1/images/{image_id}/info") as response:
        facts = await response.json()
    assert response.status == 200
    assert (facts["orientation"], facts["colour_space"], facts["alpha"]) == (1, "srgb", False)
    for link in facts["links"].values():
        assert (await service.get(link))[0] == 200


async def test_the_list_is_paged_newest_first(service: Service) -> None:
    newest = [await service.upload(BODY) for _ in range(5)][::-1]
    found: list[str] = []
    cursor = ""
    while len(found) < 5:
        async with service.http.get(f"{service.url}/v1/images?limit=2{cursor}") as response:
            page = await response.json()
        assert len(page["images"]) == 2
        found += [image["image_id"] for image in page["images"]]
        cursor = f"&cursor={page['cursor']}"
    assert found[:5] == newest


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        f"limit={'0' * 8}{'9' * 20}",
        f"limit={'1' * 5000}",
        "limit=501",
        "limit=x",
        "limit=",
        "cursor=x",
        "cursor=eHw",
        "limit=-1",
    ],
)
async def test_a_bad_page_is_refused(service: Service, query: str) -> None:
    assert (await service.get(f"/v1/images?{query}"))[0] == 400


async def test_a_deleted_image_is_gone_in_every_variant(service: Service) -> None:
    image_id = await service.upload(pictures.jpeg(31, 17))
    paths = [f"/v1/images/{image_id}{variant}" for variant in ("", ".jpg", ".png", "?thumb=10", "/info")]
    for path in paths:
        assert (await service.get(path))[0] == 200
    async with service.http.delete(f"{service.url}/v1/images/{image_id}") as response:
        assert (response.status, await response.read()) == (204, b"")
    for path in [*paths, f"/image/{image_id}.webp", f"/v1/transform?image_id={image_id}&thumb=5"]:
        status, _, response = await service.get(path)
        assert status == 410, path
        assert response.headers["Cache-Control"] == "public, max-age=10"
    async with service.http.delete(f"{service.url}/v1/images/{image_id}") as response:
        assert response.status == 410


@pytest.mark.parametrize("path", ["/images/healthcheck", "/v1/images/healthcheck", "/image/healthcheck"])
async def test_storage_is_healthy(service: Service, path: str) -> None:
    async with service.http.get(f"{service.url}{path}") as response:
        assert response.status == 200
        assert await response.json() == {"service": "image-storage", "status": "okay"}


@pytest.mark.parametrize("path", ["/transform/healthcheck", "/v1/transform/healthcheck"])
async def test_transform_is_healthy(service: Service, path: str) -> None:
    async with service.http.get(f"{service.url}{path}") as response:
        assert response.status == 200
        assert await response.json() == {"service": "image-transform", "status": "okay"}


async def test_only_a_valid_request_id_is_kept(service: Service) -> None:
    for given, kept in (("client-7.a_B", True), ('evil"id', False), ("x" * 65, False), ("", False)):
        _, _, response = await service.get("/v1/images/healthcheck", headers={"X-Request-ID": given})
        assert (response.headers["X-Request-ID"] == given) is kept
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", response.headers["X-Request-ID"])
