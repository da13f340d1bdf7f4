"""Bad input: each row of the *Errors* table of the HTTP contract, over HTTP, and never a 500."""

import asyncio
import io
import json
import time
import uuid
from urllib.parse import urlsplit

import aiohttp
import pytest
from yarl import URL

from tests import pictures
from tests.end_to_end.conftest import Service
from tests.remote import PORT, RemoteServer

GOOD = pictures.jpeg(64, 48)


@pytest.fixture(scope="module")
async def image_id(service: Service) -> str:
    return await service.upload(GOOD)


async def refused(response: aiohttp.ClientResponse, status: int) -> str:
    """Check that the response is problem+json with this status, and return its detail."""
    body = await response.read()
    assert response.status == status, (response.status, body[:500])
    assert response.content_type == "application/problem+json"
    problem = json.loads(body)
    assert problem["status"] == status
    assert set(problem) == {"type", "title", "status", "detail", "error", "request_id"}
    assert problem["error"] == problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert response.headers["API-Version"] == "1"
    if status not in {404, 410}:  # those may be cached for a moment
        assert response.headers["Cache-Control"] == "no-store"
    assert "Traceback" not in problem["detail"]
    return str(problem["detail"])


async def _get(service: Service, path: str, status: int, **options: object) -> str:
    async with service.http.get(URL(service.url + path, encoded=True), **options) as response:  # type: ignore[arg-type]
        return await refused(response, status)


async def _upload(service: Service, body: bytes, status: int, name: str = "x.jpg") -> str:
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(body), filename=name, content_type="image/jpeg")
    async with service.http.post(f"{service.url}/v1/images", data=form) as response:
        return await refused(response, status)


async def test_a_form_without_an_image_field_is_refused(service: Service) -> None:
    for fields in ({"picture": GOOD}, {}):
        form = aiohttp.FormData(default_to_multipart=True)
        for name, body in fields.items():
            form.add_field(name, body, filename="x.jpg")
        form.add_field("note", "text")
        async with service.http.post(f"{service.url}/images", data=form) as response:
            assert "image" in await refused(response, 400)


async def test_a_form_with_two_image_fields_is_refused(service: Service) -> None:
    form = aiohttp.FormData()
    form.add_field("image", GOOD, filename="a.jpg")
    form.add_field("Image", GOOD, filename="b.jpg")
    async with service.http.post(f"{service.url}/v1/images", data=form) as response:
        assert "the field 'image' appears twice" in await refused(response, 400)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream", "nonsense"])
async def test_other_content_types_are_refused(service: Service, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    async with service.http.post(f"{service.url}/v1/images", data=b"{}", headers=headers) as response:
        await refused(response, 400)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all",
        b"--b\r\n",
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n' + GOOD,
        b'--b\r\nContent-Disposition: form-data; name="image"\r\nContent-Length: -5\r\n\r\nx\r\n--b--\r\n',
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\n",
        b"--b\r\n" + b"X-Header: y\r\n" * 5000 + b"\r\nx\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data; name=url\r\n\r\n" + b"x" * 20000 + b"\r\n--b--\r\n",
        b"".join(b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\nx\r\n' for _ in range(100)) + b"--b--\r\n",
    ],
)
async def test_broken_multipart_bodies_are_refused(service: Service, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for path in ("/v1/images", "/v1/transform?thumb=9"):
        async with service.http.post(f"{service.url}{path}", data=body, headers=headers) as response:
            await refused(response, response.status)
            assert response.status in {400, 415}  # 415 if the part is complete but not an image


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "nonsense"])
async def test_a_compressed_body_is_refused(service: Service, encoding: str) -> None:
    for content_type in ("image/jpeg", "multipart/form-data; boundary=b", "application/x-www-form-urlencoded"):
        for path in ("/v1/images", "/v1/transform?thumb=9"):
            headers = {"Content-Type": content_type, "Content-Encoding": encoding}
            async with service.http.post(f"{service.url}{path}", data=b"--b nonsense", headers=headers) as response:
                assert "Content-Encoding" in await refused(response, 415)


async def test_multipart_without_a_boundary_is_refused(service: Service) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    async with service.http.post(f"{service.url}/v1/images", data=b"x", headers=headers) as response:
        await refused(response, 400)


async def test_an_empty_file_is_refused(service: Service) -> None:
    assert "empty" in await _upload(service, b"", 400)


@pytest.mark.parametrize(
    "body",
    [
        b"just text",
        pictures.SVG,
        b"%PDF-1.4",
        b"BM" + bytes(100),
        b"\0" * 1000,
        b"P6 1 1 255\n\0\0\0",
        b"1,2,3\n4,5,6\n",
    ],
)
async def test_other_files_are_refused_whatever_their_name(service: Service, body: bytes) -> None:
    assert "; send one of: " in await _upload(service, body, 415, "photo.jpg")
    form = aiohttp.FormData()
    form.add_field("image", body, filename="photo.jpg")
    async with service.http.post(f"{service.url}/v1/transform?thumb=9", data=form) as response:
        await refused(response, 415)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".tiff", ".avif"])
async def test_a_truncated_image_is_refused_instead_of_shown_in_part(service: Service, suffix: str) -> None:
    picture = pictures.noise(200, 150) if suffix != ".gif" else pictures.gradient(200, 150)
    whole = bytes(picture.write_to_buffer(suffix))
    for share in (0.3, 0.6, 0.9):
        form = aiohttp.FormData()
        form.add_field("image", whole[: int(len(whole) * share)], filename="x")
        async with service.http.post(f"{service.url}/v1/images", data=form) as response:
            if response.status != 201:  # the header of some formats reveals it
                await refused(response, 422)
                continue
            image_id = (await response.json())["image_id"]
        for query in ("thumb=50", "rotate=33", "blur=2", "compress=50"):
            assert "truncated" in await _get(service, f"/v1/images/{image_id}.jpg?{query}", 422), (share, query)


async def test_flipped_bits_are_noticed(service: Service) -> None:
    whole = bytearray(pictures.noise(100, 80).pngsave_buffer())
    whole[len(whole) // 2] ^= 0xFF
    image_id = await service.upload(bytes(whole))
    await _get(service, f"/v1/images/{image_id}?thumb=50", 422)


@pytest.mark.parametrize("suffix", [".png", ".gif", ".jpg", ".tif"])
async def test_a_damaged_image_is_not_passed_on_as_a_conversion(service: Service, suffix: str) -> None:
    """The original stays available as it was uploaded; the contract says so."""
    body = pictures.noise(200, 150).write_to_buffer(f"{suffix}[compression=deflate]" if suffix == ".tif" else suffix)
    damaged = bytearray(body)
    middle = len(damaged) // 2
    damaged[middle : middle + 300] = b"\xff\xd9" * 150
    form = aiohttp.FormData()
    form.add_field("image", bytes(damaged), filename="x")
    async with service.http.post(f"{service.url}/v1/images", data=form) as response:
        if response.status == 422:
            return
        image_id = (await response.json())["image_id"]
    status, original, _ = await service.get(f"/v1/images/{image_id}")
    assert (status, original) == (200, bytes(damaged))
    for query in ("?rotate=0", "?thumb=60", "", "?thumb=60"):
        status, _, _ = await service.get(f"/v1/images/{image_id}{suffix.replace('.tif', '.tiff')}{query}")
        assert status == 422, query


async def test_a_damaged_progressive_jpeg_is_refused_by_the_fast_decoder_too(service: Service) -> None:
    body = bytearray(pictures.noise(900, 700).jpegsave_buffer(interlace=True))
    scans = [place for place in range(len(body) - 1) if body[place : place + 2] == b"\xff\xda"]
    middle = (scans[2] + scans[3]) // 2
    body[middle : middle + 64] = bytes(64)
    image_id = await service.upload(bytes(body))
    for side in (60, 100, 200):
        await _get(service, f"/v1/images/{image_id}.jpg?thumb={side}", 422)


async def test_an_original_that_decodes_is_passed_on_unchanged(service: Service) -> None:
    for suffix in (".png", ".gif", ".webp", ".jpg"):
        body = bytes(pictures.gradient(90, 60).write_to_buffer(suffix))
        image_id = await service.upload(body)
        for _ in range(2):
            status, converted, _ = await service.get(f"/v1/images/{image_id}{suffix}")
            assert (status, converted) == (200, body)


async def test_a_decompression_bomb_is_refused_by_its_header(service: Service) -> None:
    bomb = pictures.png_header(65_500, 65_500)
    assert len(bomb) < 5000
    await _upload(service, bomb, 422)  # warms up the validator
    started = time.monotonic()
    assert "65500 x 65500 pixels; the limit is 32768 on each side" in await _upload(service, bomb, 422)
    assert time.monotonic() - started < 0.3
    form = aiohttp.FormData()
    form.add_field("image", bomb, filename="x.png")
    async with service.http.post(f"{service.url}/v1/transform?thumb=9", data=form) as response:
        await refused(response, 422)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
async def test_a_text_bomb_is_refused_without_decompressing_it(service: Service, kind: bytes) -> None:
    bomb = pictures.text_bomb(kind)
    assert len(bomb) < 200_000
    assert "MiB of metadata" in await _upload(service, bomb, 422)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
async def test_too_many_frames_are_refused(service: Service, suffix: str) -> None:
    assert "more than 100 frames" in await _upload(service, pictures.animation(101, suffix=suffix), 422)
    assert await service.upload(pictures.animation(100, suffix=suffix))


async def test_too_many_bytes_are_refused(service: Service) -> None:
    await _upload(service, pictures.of_size(65 * 1024**2), 413)
    headers = {"Content-Type": "image/jpeg"}
    too_large = io.BytesIO(pictures.of_size(64 * 1024**2 + 1))
    async with service.http.post(f"{service.url}/v1/images", data=too_large, headers=headers) as response:
        assert "67108864 bytes" in await refused(response, 413)
    assert await service.upload(pictures.of_size(64 * 1024**2))


@pytest.mark.parametrize("image_id", ["x", "1234", "g" * 32, "0" * 31, "0" * 33, "A" * 32, "%00", "..%2f..%2fetc"])
async def test_a_malformed_id_is_refused(service: Service, image_id: str) -> None:
    for path in ("/v1/images/{}", "/image/{}.png", "/v1/images/{}/info", "/v1/images/{}?thumb=9"):
        async with service.http.get(URL(service.url + path.format(image_id), encoded=True)) as response:
            # nginx itself refuses zero bytes and paths above the root, before any rule of ours.
            by_nginx = service.kind == "compose" and image_id in {"%00", "..%2f..%2fetc"} and response.status == 400
            await refused(response, 404 if "%" in image_id and not by_nginx else 400)


@pytest.mark.parametrize(
    "path",
    ["/v1/images/{}%2epng", "/v1/images/{}.pn%67", "/v1/image%73/{}", "/%761/images/{}", "/v1/images/%7B{}?thumb=9"],
)
async def test_a_percent_encoded_path_is_not_found(service: Service, image_id: str, path: str) -> None:
    await _get(service, path.format(image_id), 404)


async def test_an_unknown_id_is_not_found(service: Service) -> None:
    unknown = uuid.uuid4().hex
    for path in (
        "/v1/images/{}",
        "/image/{}.png",
        "/v1/images/{}/info",
        "/v1/images/{}?thumb=9",
        "/transform?image_id={}",
    ):
        await _get(service, path.format(unknown), 404)
    async with service.http.delete(f"{service.url}/v1/images/{unknown}") as response:
        await refused(response, 404)


@pytest.mark.parametrize(
    ("query", "reason", "marked"),
    [
        ("rotate=abc", "'abc' is not a number", "abc"),
        ("thumb=0", "must be at least 1, not ", "0"),
        ("thumb=16384", "must be at most 16383, not ", "16384"),
        ("thumb=", "`side` is missing", "thumb="),
        ("thumb", "`side` is missing", "thumb"),
        ("thumb=1.5", "'1.5' is not a whole number", "1.5"),
        ("thumb=10,10", "takes 1 argument", "10,10"),
        ("blur=-1", "must be at least 0, not ", "-1"),
        ("blur=251", "must be at most 250, not ", "251"),
        ("blur=1e9", "not a number", "1e9"),
        ("blur=nan", "not a number", "nan"),
        ("rotate=inf", "not a number", "inf"),
        ("rotate=%D9%A9", "not a number", "%D9%A9"),
        ("compress=101", "must be at most 100, not ", "101"),
        ("compress=-1", "not a whole number", "-1"),
        ("background=redd", "'redd' is not a colour; did you mean 'red'?", "redd"),
        ("rotat=90", "did you mean 'rotate'", "rotat=90"),
        ("ROTATE=90", "did you mean 'rotate'", "ROTATE=90"),
        ("xyzzy=1", "use one of: autocrop, background, blur", "xyzzy=1"),
        ("=90", "unknown operation ''", "=90"),
        ("rotate=90&thumb=x&blur=1", "'x' is not a whole number", "x"),
        ("thumb=%zz", "`%` must be followed by two hex digits", "thumb=%zz"),
        ("thumb=%", "`%` must be followed by two hex digits", "thumb=%"),
        ("%ff=1", "not valid UTF-8", "%ff=1"),
        ("thumb=%2531", "'%31' is not a whole number", "%2531"),
        ("format=png&format=png&thumb=3", "appears twice", "format=png"),
    ],
)
async def test_a_bad_chain_is_shown_with_its_place_marked(
    service: Service, image_id: str, query: str, reason: str, marked: str
) -> None:
    detail = await _get(service, f"/v1/images/{image_id}?{query}", 400)
    first, shown, marker = detail.split("\n")
    assert reason in first
    assert shown == f"  {query}"
    start, end = marker.index("^"), marker.rindex("^") + 1
    assert shown[start:end] == marked


async def test_too_many_operations_are_refused(service: Service, image_id: str) -> None:
    twenty = "&".join(["rotate=90"] * 20)
    status, _, _ = await service.get(f"/v1/images/{image_id}?{twenty}")
    assert status == 200
    assert "20 operations" in await _get(service, f"/v1/images/{image_id}?{twenty}&rotate=90", 414)


async def test_a_url_that_is_too_long_is_refused(service: Service, image_id: str) -> None:
    for length in (8200, 12_000):
        await _get(service, f"/v1/images/{image_id}?utm_x={'x' * length}", 414)


@pytest.mark.parametrize("path", ["/v1/images/{}.bmp", "/v1/images/{}.svg", "/v1/images/{}?format=exe"])
async def test_a_format_that_is_not_supported_is_refused(service: Service, image_id: str, path: str) -> None:
    assert "not supported" in await _get(service, path.format(image_id), 406)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/v1/images", 405),
        ("POST", "/v1/images/{}", 405),
        ("PATCH", "/v1/images/{}.png", 405),
        ("DELETE", "/v1/images/{}.png", 405),
        ("DELETE", "/v1/transform", 405),
        ("DELETE", "/v1/images/{}?thumb=3", 400),
        ("GET", "/v2/images/{}", 404),
        ("GET", "/v1/v1/images/{}", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/images/{}/nothing", 404),
        ("GET", "/internal/images/{}", 404),
        ("GET", "/v1/../internal/images/{}", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/v1/images/../../../etc/passwd", 404),
        ("GET", "/%252e%252e/etc/passwd", 404),
    ],
)
async def test_other_paths_and_methods_are_refused(
    service: Service, image_id: str, method: str, path: str, status: int
) -> None:
    url = URL(service.url + path.format(image_id), encoded=True)
    async with service.http.request(method, url) as response:
        await refused(response, status)
        assert ("Allow" in response.headers) == (status == 405)


async def test_an_error_about_the_output_limits_names_the_step(service: Service) -> None:
    wide = await service.upload(
        bytes((pictures.gradient(20, 1).resize(1000, vscale=1) * 1).cast("uchar").pngsave_buffer())
    )
    detail = await _get(service, f"/v1/images/{wide}.jpg", 422)
    assert "20000 x 1" in detail
    assert "thumb=16383" in detail
    assert "rotate=90" in await _get(service, f"/v1/images/{wide}.jpg?rotate=90", 422)
    assert "rotate=45" in await _get(service, f"/v1/images/{wide}.jpg?rotate=45&thumb=100", 422)
    assert (await service.get(f"/v1/images/{wide}"))[0] == 200
    assert (await service.get(f"/v1/images/{wide}.jpg?thumb=16383"))[0] == 200


@pytest.mark.parametrize(
    "accept", ["", "nonsense", "image/webp;q=abc", ";;;,,,", "*/*;q=9", "x" * 4000, "image/avif;q=0", "é"]
)
async def test_an_invalid_accept_header_changes_nothing(service: Service, image_id: str, accept: str) -> None:
    _, plain, _ = await service.get(f"/v1/images/{image_id}.png?thumb=20")
    headers = {"Accept": accept}
    assert (await service.get(f"/v1/images/{image_id}.png?thumb=20", headers=headers))[:2] == (200, plain)


async def test_transform_requires_exactly_one_source(service: Service, image_id: str) -> None:
    assert "the request names no image; use exactly one of: " in await _get(service, "/v1/transform?thumb=9", 400)
    both = f"/v1/transform?image_id={image_id}&url=http://example.com/&thumb=9"
    assert "exactly one" in await _get(service, both, 400)
    for fields in ({}, {"image_id": image_id, "url": "http://example.com"}, {"image": "text"}):
        form = aiohttp.FormData(fields, default_to_multipart=True)
        async with service.http.post(f"{service.url}/transform?thumb=9", data=form) as response:
            await refused(response, 415 if "image" in fields else 400)
    async with service.http.post(f"{service.url}/transform?thumb=9", data={"image": "text"}) as response:
        await refused(response, 400)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/canary",
        "http://127.1:{port}/canary",
        "http://0x7f000001:{port}/canary",
        "http://2130706433:{port}/canary",
        "http://017700000001:{port}/canary",
        "http://0.0.0.0:{port}/canary",
        "http://localhost:{port}/canary",
        "http://[::1]:{port}/canary",
        "http://[::]:{port}/canary",
        "http://[::ffff:127.0.0.1]:{port}/canary",
        "http://[::ffff:7f00:1]:{port}/canary",
        "http://[::127.0.0.1]:{port}/canary",
        "http://[64:ff9b::7f00:1]:{port}/canary",
        "http://[2002:7f00:1::]:{port}/canary",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://100.64.0.1/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://user:password@127.0.0.1:{port}/canary",
    ],
)
async def test_addresses_that_are_not_public_are_refused(
    service: Service, remote_server: RemoteServer, url: str
) -> None:
    target = url.format(port=PORT)
    for source in (target, f"{service.remote}/redirect?to={target}"):
        async with service.http.get(f"{service.url}/v1/transform", params={"url": source, "thumb": "9"}) as response:
            await refused(response, response.status)
            assert response.status in {400, 502}  # 502 for a spelling that is an unknown host name: `0x7f000001`
    assert "/canary" not in remote_server.requested


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("", 400),
        ("x", 400),
        ("ftp://example.com/x", 400),
        ("file:///etc/passwd", 400),
        ("http:///x", 400),
        ("http://[x/", 400),
        ("http://example.com:99999/", 400),
        ("http://example.com:22/", 400),
        ("gopher://127.0.0.1/", 400),
        ("http://no-such-host.invalid/", 502),
        ("{remote}/slow", 504),
        ("{remote}/text", 415),
        ("{remote}/nothing", 502),
        ("{remote}/empty", 502),
        ("{remote}/loop", 502),
        ("{remote}/redirect?to=file:///etc/passwd", 400),
        ("{remote}/redirect?to=", 502),
    ],
)
async def test_failing_remote_sources_are_reported(service: Service, url: str, status: int) -> None:
    params = {"url": url.format(remote=service.remote), "thumb": "9"}
    async with service.http.get(f"{service.url}/v1/transform", params=params) as response:
        await refused(response, status)


async def test_slow_remote_servers_occupy_a_limited_number_of_fetches(service: Service) -> None:
    async def fetch(number: int) -> int:
        params = {"url": f"{service.remote}/slow?{number}", "thumb": "9"}
        async with service.http.get(f"{service.url}/v1/transform", params=params) as response:
            await refused(response, response.status)
            return response.status

    statuses = await asyncio.gather(*map(fetch, range(12)))
    assert (statuses.count(504), statuses.count(503)) == (8, 4)


async def test_an_endless_remote_source_is_cut_off(service: Service) -> None:
    params = {"url": f"{service.remote}/endless", "thumb": "9"}
    async with service.http.get(f"{service.url}/v1/transform", params=params) as response:
        await refused(response, response.status)
        assert response.status in {413, 504}  # whichever limit comes first


async def test_a_client_that_hangs_up_does_no_harm(service: Service, image_id: str) -> None:
    target = urlsplit(service.url)
    head = b"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n" + GOOD
    get = f"GET /v1/images/{image_id}.png?rotate=12.5 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    for request in (head, get, b"GET / HTTP", b"\r\n\r\n\0\xff"):
        for _ in range(5):
            _, writer = await asyncio.open_connection(target.hostname, target.port)
            writer.write(request)
            await writer.drain()
            writer.transport.abort()
    assert (await service.get(f"/v1/images/{image_id}.png?rotate=12.5"))[0] == 200


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "application/octet-stream", "text/plain"]
)
@pytest.mark.parametrize("size", [100, 1_000_000])
async def test_an_upload_without_a_type_for_images_is_told_how(service: Service, content_type: str, size: int) -> None:
    """`curl --data-binary @photo.jpg` sends the first of them."""
    headers = {"Content-Type": content_type}
    async with service.http.post(f"{service.url}/v1/images", data=b"\xff" * size, headers=headers) as response:
        assert response.status == 400
        assert "use a form with a file in the field 'image', as in `curl -F" in (await response.json())["detail"]
