"""Nothing that a client sends is ignored silently."""

import io

import aiohttp
import pytest
from yarl import URL

from tests import pictures
from tests.end_to_end.conftest import Service
from tests.end_to_end.test_errors import refused

GOOD = pictures.jpeg(30, 20)

_FIELDS = "use one of: image, alt, focus, metadata, tags, title, ttl"


@pytest.fixture(scope="module")
async def image_id(service: Service) -> str:
    return await service.upload(GOOD)


async def _post(service: Service, path: str, fields: list[tuple[str, bytes, str | None]]) -> str:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value, filename in fields:
        form.add_field(name, io.BytesIO(value) if filename else value.decode(), filename=filename)
    async with service.http.post(f"{service.url}{path}", data=form) as response:
        return await refused(response, 400)


@pytest.mark.parametrize(
    ("field", "advice"),
    [
        ("imgae", "did you mean 'image'?"),
        ("images", "did you mean 'image'?"),
        ("file", _FIELDS),
        ("url", _FIELDS),
        ("image_id", _FIELDS),
        ("visibility", "it goes into the query of the URL, as in `/v1/images?visibility=…`"),
        ("thumb", f"{_FIELDS}; anything else goes into the query of the URL"),
        ("image[]", "did you mean 'image'?"),
        ("", _FIELDS),
    ],
)
@pytest.mark.parametrize("filename", [None, "x.jpg"])
@pytest.mark.parametrize("first", [True, False])
async def test_an_unknown_field_of_an_upload_is_refused(
    service: Service, field: str, advice: str, filename: str | None, first: bool
) -> None:
    fields: list[tuple[str, bytes, str | None]] = [("image", GOOD, "x.jpg"), (field, b"1", filename)]
    newest = await _newest(service)
    detail = await _post(service, "/v1/images", fields[::-1] if first else fields)
    wanted = "put the file into `image`, as in `curl -F image=@photo.jpg`" if filename else advice
    assert f"the form has an unknown field {field!r}; {wanted}" in detail
    assert "?;" not in detail
    assert await _newest(service) == newest, "nothing was stored"


async def _newest(service: Service) -> bytes:
    return (await service.get("/v1/images?limit=1"))[1]


@pytest.mark.parametrize(
    ("field", "advice"),
    [
        ("imgae", "did you mean 'image'?"),
        ("image-id", "did you mean 'image_id'?"),
        ("thumb", "use one of: image, image_id, url; anything else goes into the query of the URL"),
        ("expires", "use one of: image, image_id, url"),
        ("download", "use one of: image, image_id, url"),
    ],
)
async def test_an_unknown_field_of_a_transform_is_refused(
    service: Service, image_id: str, field: str, advice: str
) -> None:
    wanted = f"the form has an unknown field {field!r}; {advice}"
    assert wanted in await _post(service, "/v1/transform?thumb=9", [("image", GOOD, "x.jpg"), (field, b"1", None)])
    assert wanted in await _post(
        service, "/v1/transform?thumb=9", [("image_id", image_id.encode(), None), (field, b"1", None)]
    )
    fields = {"image_id": image_id, field: "1"}
    async with service.http.post(f"{service.url}/v1/transform?thumb=9", data=fields) as response:  # urlencoded
        assert wanted in await refused(response, 400)


@pytest.mark.parametrize("path", ["/v1/images", "/v1/transform?thumb=9"])
async def test_the_name_of_a_file_is_no_file(service: Service, path: str) -> None:
    form = aiohttp.FormData({"image": "fotos/möwe.jpg"}, default_to_multipart=True)
    async with service.http.post(f"{service.url}{path}", data=form) as response:
        detail = await refused(response, 415)
    assert "the text 'fotos/möwe.jpg' and no file; write `curl -F image=@photo.jpg`" in detail


async def test_a_file_where_text_belongs_is_refused(service: Service, image_id: str) -> None:
    for name in ("url", "image_id"):
        detail = await _post(service, "/v1/transform?thumb=9", [(name, image_id.encode(), "x.txt")])
        assert f"the field {name!r} must be text, not a file; send files in the field 'image'" in detail


async def test_an_empty_field_of_a_urlencoded_form_is_not_overlooked(service: Service, image_id: str) -> None:
    for field, part in (("thumb", "unknown field 'thumb'"), ("url", "several images")):
        text = f"image_id={image_id}&{field}="
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with service.http.post(f"{service.url}/v1/transform", data=text, headers=headers) as response:
            assert part in await refused(response, 400)


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("GET", "/v1/images?curser=x", "unknown parameter 'curser'; did you mean 'cursor'?"),
        ("GET", "/v1/images?offset=3", "unknown parameter 'offset'; use one of: limit, cursor, space"),
        ("GET", "/v1/images?thumb=9", "unknown parameter 'thumb'; use one of: limit, cursor, space"),
        ("GET", "/v1/images?limit=3&li%6dit=4", "`limit` appears twice"),
        ("GET", "/v1/images?limit=%zz", "`%` must be followed by two hex digits"),
        ("GET", "/v1/images?signature=x", "`signature` belongs to the end of a signed URL"),
        ("GET", "/v1/images/{}/info?fields=sha256", "unknown parameter 'fields'; remove it"),
        ("GET", "/v1/images/{}/info?download", "unknown parameter 'download'; remove it"),
        ("GET", "/v1/images/{}/info?expires=1", "`expires` belongs to the end of a signed URL"),
        ("POST", "/v1/images?thumb=9", "unknown parameter 'thumb'; use one of: space, visibility"),
        ("POST", "/v1/images?visibility=secret", "visibility='secret' is unknown; use public, private, pending"),
        ("DELETE", "/v1/images/{}?thumb=9", "DELETE takes no query"),
        ("GET", "/v1/transform?image_id={}&image=x", "unknown operation 'image'"),
        ("GET", "/v1/images/{}?image_id={}", "unknown operation 'image_id'"),
        ("GET", "/v1/images/{}?url=x", "unknown operation 'url'"),
        ("GET", "/v1/images/{}?limit=x", "unknown operation 'limit'"),
    ],
)
async def test_an_unknown_parameter_is_refused(
    service: Service, image_id: str, method: str, path: str, detail: str
) -> None:
    url = URL(service.url + path.replace("{}", image_id), encoded=True)
    body = {"data": GOOD, "headers": {"Content-Type": "image/jpeg"}} if method == "POST" else {}
    async with service.http.request(method, url, **body) as response:  # type: ignore[arg-type]
        assert detail in await refused(response, 400)
    assert (await service.get(f"/v1/images/{image_id}"))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/images/{}?expires=1",
        "/v1/images/{}?signature=x",
        "/v1/images/{}?key=x",
        "/v1/images/{}?download=x&expires=1",
        "/v1/images/{}.webp?thumb=9&expires=1&signature=x",
        "/v1/transform?image_id={}&thumb=9&signature=x",
    ],
)
async def test_parts_of_a_signed_url_are_refused(service: Service, image_id: str, path: str) -> None:
    async with service.http.get(URL(service.url + path.replace("{}", image_id), encoded=True)) as response:
        assert "the signature is not valid" in await refused(response, 403)


@pytest.mark.parametrize("query", ["utm_source=x", "gclid=1", "fbclid", "v=3", "t=4", "&"])
async def test_what_means_nothing_is_accepted_everywhere(service: Service, image_id: str, query: str) -> None:
    for path in ("/v1/images?limit=1&{}", "/v1/images/{}/info?{}", "/v1/images/{}?{}", "/v1/images/{}.png?{}"):
        status, body, _ = await service.get(path.format(*[image_id] * (path.count("{}") - 1), query))
        assert status == 200, body


async def test_empty_fields_beside_a_file_mean_nothing(service: Service) -> None:
    """A form in a page sends all of its fields."""
    form = aiohttp.FormData({"url": "", "image_id": ""})
    form.add_field("image", GOOD, filename="a.jpg")
    async with service.http.post(f"{service.url}/v1/transform?thumb=10", data=form) as response:
        assert response.status == 200, await response.text()
