"""`download=NAME`: browsers save the image under a safe name, and nothing else changes."""

import re
from email.message import Message
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests import pictures
from tests.end_to_end.conftest import Service

BODY = pictures.jpeg(120, 80)
LARGE = pictures.of_size(5 * 1024**2)
"""More than Varnish keeps."""


@pytest.fixture(scope="module")
async def image_id(service: Service) -> str:
    return await service.upload(BODY)


def saved_as(response: aiohttp.ClientResponse) -> str | None:
    """The name under which a client saves a response, by Python's parser of RFC 2231, which RFC 8187 is a part of."""
    header = response.headers.get("Content-Disposition")
    if header is None:
        return None
    assert header.isascii()
    assert header.isprintable()
    kind, *parameters = re.split(r"; (?=filename\*?=)", header)
    assert kind == "attachment"
    message = Message()
    message["Content-Disposition"] = f"{kind}; {parameters[-1]}"  # that parser would prefer `filename` to `filename*`
    return message.get_filename()


def plain_name(response: aiohttp.ClientResponse) -> str:
    """The name for clients that do not know `filename*`."""
    message = Message()
    message["Content-Disposition"] = response.headers["Content-Disposition"].partition("; filename*=")[0]
    assert "\\" not in message["Content-Disposition"]
    name = message.get_filename()
    assert name is not None
    return name


async def _get(service: Service, path: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
    async with service.http.get(URL(service.url + path, encoded=True), headers=headers) as response:
        return response, await response.read()


@pytest.mark.parametrize("path", ["{}", "{}.jpg", "{}.webp", "{}?thumb=40", "{}.png?w=40&rotate=90"])
async def test_a_download_differs_in_one_header_only(service: Service, image_id: str, path: str) -> None:
    plain = f"/v1/images/{path.format(image_id)}"
    shown, body = await _get(service, plain)
    saved, same = await _get(service, plain + ("&" if "?" in plain else "?") + "download=holiday")
    assert (shown.status, saved.status) == (200, 200)
    assert same == body
    extension = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}[shown.content_type]
    assert (saved_as(shown), saved_as(saved)) == (None, f"holiday.{extension}")
    for name in ("ETag", "Content-Type", "Cache-Control", "Content-Length", "Content-Security-Policy"):
        assert saved.headers[name] == shown.headers[name]
    assert set(saved.headers) - set(shown.headers) <= {"Content-Disposition", "Cache-Status"}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("download=photo.jpg", "photo.jpg"),
        ("download=photo.jpeg", "photo.jpeg"),
        ("download=PHOTO.JPG", "PHOTO.JPG"),
        ("download=photo", "photo.jpg"),
        ("download=photo.png", "photo.jpg"),
        ("download=v1.2", "v1.2.jpg"),
        ("download=setup.exe", "setup.exe.jpg"),
        ("download=a%20b%2Bc+d.jpg", "a b+c+d.jpg"),
        ("download=100%25.jpg", "100%.jpg"),
        ("download=it's%20(1);%20x=y.jpg", "it's (1); x=y.jpg"),
        ("download=a,b.jpg", "a,b.jpg"),
    ],
)
@pytest.mark.parametrize("path", ["{}?{}", "{}?thumb=40&{}"])
async def test_a_name_gets_the_extension_of_the_format(
    service: Service, image_id: str, path: str, query: str, name: str
) -> None:
    response, _ = await _get(service, f"/v1/images/{path.format(image_id, query)}")
    assert (response.status, saved_as(response)) == (200, name)


@pytest.mark.parametrize(
    ("name", "saved", "plain"),
    [
        ("Grüße.jpg", "Grüße.jpg", "Gru_e.jpg"),
        ("写真.jpg", "写真.jpg", "__.jpg"),
        ("Ünï côdé", "Ünï côdé.jpg", "Uni code.jpg"),
        ("👩‍🚀.jpg", "👩‍🚀.jpg", "___.jpg"),
        ('say "hi".jpg', "say _hi_.jpg", "say _hi_.jpg"),
        ("a\\b.jpg", "a_b.jpg", "a_b.jpg"),
        ("../../etc/passwd", "_.._etc_passwd.jpg", "_.._etc_passwd.jpg"),
        ("/etc/cron.d/x.jpg", "_etc_cron.d_x.jpg", "_etc_cron.d_x.jpg"),
        ("C:\\x.jpg", "C__x.jpg", "C__x.jpg"),
        ("\uff0fetc\uff0fx.jpg", "\uff0fetc\uff0fx.jpg", "_etc_x.jpg"),
        ("a\r\nSet-Cookie: x=y.jpg", "aSet-Cookie_ x=y.jpg", "aSet-Cookie_ x=y.jpg"),
        ("a\0b\x1b[31m\x7f\x85.jpg", "ab[31m.jpg", "ab[31m.jpg"),
        ("a\u2028b\u2029.jpg", "ab.jpg", "ab.jpg"),
        ("photo\u202egpj.exe", "photogpj.exe.jpg", "photogpj.exe.jpg"),
        (".htaccess", "htaccess.jpg", "htaccess.jpg"),
        ("photo.jpg. . ", "photo.jpg", "photo.jpg"),
        ("a'b*c.jpg", "a'b_c.jpg", "a'b_c.jpg"),
        ("%2e%2e%2f.jpg", "%2e%2e%2f.jpg", "_2e_2e_2f.jpg"),
        ("x" * 2000 + ".jpg", "x" * 196 + ".jpg", "x" * 196 + ".jpg"),
        ("ü" * 900, "ü" * 98 + ".jpg", "u" * 98 + ".jpg"),
    ],
)
async def test_a_hostile_name_becomes_harmless(
    service: Service, image_id: str, name: str, saved: str, plain: str
) -> None:
    for query in ("", "thumb=40&"):
        response, _ = await _get(service, f"/v1/images/{image_id}?{query}download={quote(name, safe='')}")
        assert (response.status, saved_as(response), plain_name(response)) == (200, saved, plain)
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("value", ["", "=", "=1", "=true", "=..", "=%00", "=%20.%20"])
async def test_without_a_name_the_file_is_named_after_the_image(service: Service, image_id: str, value: str) -> None:
    response, body = await _get(service, f"/v1/images/{image_id}?download{value}")
    assert (saved_as(response), body) == (f"{image_id}.jpg", BODY)
    response, _ = await _get(service, f"/v1/images/{image_id}.webp?download{value}")
    assert saved_as(response) == f"{image_id}.webp"


async def test_the_extension_is_that_of_the_negotiated_format(service: Service, image_id: str) -> None:
    for accept, extension in (("image/avif", "avif"), ("image/webp", "webp"), ("*/*", "jpg")):
        for path in (f"{image_id}.auto?thumb=44", f"{image_id}?fm=auto&thumb=44"):
            response, _ = await _get(service, f"/v1/images/{path}&download=photo.jpg", Accept=accept)
            assert saved_as(response) == f"photo.{extension}"


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("download=0", "download=0 is not the name of a file; remove `download`"),
        ("download=false", "download=false is not the name of a file"),
        ("download=a&download=b", "`download` appears twice"),
        ("download=%zz", "`%` must be followed by two hex digits"),
        ("download=%ff", "not valid UTF-8"),
        ("downlaod=a", "did you mean 'download'?"),
        ("dl=a", "unknown operation 'dl'"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "thumb=40&"])
async def test_a_bad_download_is_refused(service: Service, image_id: str, prefix: str, query: str, detail: str) -> None:
    response, body = await _get(service, f"/v1/images/{image_id}?{prefix}{query}")
    assert (response.status, response.content_type) == (400, "application/problem+json")
    assert detail in body.decode()
    assert saved_as(response) is None


async def test_a_download_is_not_rendered_again(service: Service, image_id: str) -> None:
    """Varnish keeps it as an object of its own. The renderers do not see it."""
    await _get(service, f"/v1/images/{image_id}.webp?thumb=45")
    for name in ("a", "b"):
        response, _ = await _get(service, f"/v1/images/{image_id}.webp?thumb=45&download={name}")
        assert response.headers["Cache-Status"] == "imgsvc; hit"
    again, _ = await _get(service, f"/v1/images/{image_id}.webp?thumb=45&download=b")
    assert again.headers.get("X-Cache", "HIT") == "HIT"
    assert saved_as(again) == "b.webp"


@pytest.mark.parametrize("path", ["{}?download=x", "{}.png?download=x", "{}?thumb=46&download=x"])
async def test_a_download_is_revalidated_and_has_a_head(service: Service, image_id: str, path: str) -> None:
    url = f"/v1/images/{path.format(image_id)}"
    response, body = await _get(service, url)
    unchanged, nothing = await _get(service, url, **{"If-None-Match": response.headers["ETag"]})
    assert (unchanged.status, nothing) == (304, b"")
    async with service.http.head(f"{service.url}{url}") as head:
        assert head.headers["Content-Length"] == str(len(body))
        assert saved_as(head) == saved_as(response)


async def test_a_download_of_an_original_can_be_resumed(service: Service) -> None:
    image_id = await service.upload(LARGE)
    for query in ("?download=large", "?download"):
        response, part = await _get(service, f"/v1/images/{image_id}{query}", Range="bytes=5000000-")
        assert (response.status, part) == (206, LARGE[5_000_000:])
        assert saved_as(response) in {"large.jpg", f"{image_id}.jpg"}
    response, whole = await _get(service, f"/v1/images/{image_id}?download=large")
    assert whole == LARGE
    assert response.headers["Accept-Ranges"] == "bytes"


async def test_a_damaged_original_can_be_downloaded_as_it_was_uploaded(service: Service) -> None:
    whole = bytearray(pictures.noise(100, 80).pngsave_buffer())
    whole[len(whole) // 2] ^= 0xFF
    image_id = await service.upload(bytes(whole))
    response, body = await _get(service, f"/v1/images/{image_id}?download=evidence&v=1")
    assert (response.status, body, saved_as(response)) == (200, bytes(whole), "evidence.png")


async def test_a_deleted_image_is_gone_under_every_name(service: Service) -> None:
    image_id = await service.upload(pictures.jpeg(33, 22))
    ends = ("?download", "?download=a", ".webp?thumb=9&download=b", "?v=1")
    paths = [f"/v1/images/{image_id}{end}" for end in ends]
    for path in paths * 2:
        response, _ = await _get(service, path)
        assert response.status == 200
    async with service.http.delete(f"{service.url}/v1/images/{image_id}") as response:
        assert response.status == 204
    for path in paths:
        response, _ = await _get(service, path)
        assert (response.status, saved_as(response)) == (410, None)


async def test_every_way_to_transform_can_be_downloaded(service: Service, image_id: str) -> None:
    remote = quote(f"{service.remote}/photo.jpg?x=1", safe="")
    for query, name in (
        (f"image_id={image_id}&thumb=9&download", f"{image_id}.jpg"),
        (f"image_id={image_id}&download=x", "x.jpg"),
        (f"url={remote}&thumb=9&format=webp&download=x", "x.webp"),
        (f"url={remote}&thumb=9&download=1", "photo.jpg"),
        (f"url={remote}&download", "photo.jpg"),
    ):
        response, body = await _get(service, f"/v1/transform?{query}")
        assert (response.status, saved_as(response)) == (200, name), body
    for query, name in (("thumb=9&download", "image.jpg"), ("download=x&fm=png", "x.png")):
        form = aiohttp.FormData()
        form.add_field("image", BODY, filename="../../private.jpg")
        async with service.http.post(f"{service.url}/v1/transform?{query}", data=form) as posted:
            assert (posted.status, saved_as(posted)) == (200, name)
