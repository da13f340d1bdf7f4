"""Private images, spaces and their quotas, upload tokens, signed URLs and the audit trail, at `imgsvc serve`."""

import asyncio
import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp
import pytest
from yarl import URL

from service_kit import signing
from tests.imgsvc.sites import JPEG, PHOTO, Site, bearer, closed_site, local_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    with closed_site(tmp_path_factory.mktemp("closed"), http, PRESETS='{"tiny": "thumb=10"}') as closed:
        yield closed


def pictures_of(image_id: str) -> list[str]:
    return [
        f"/v1/images/{image_id}",
        f"/v1/images/{image_id}?download",
        f"/v1/images/{image_id}.webp",
        f"/v1/images/{image_id}.png?thumb=20",
        f"/image/{image_id}?rotate=90",
        f"/v1/transform?image_id={image_id}&thumb=20",
    ]


def sign(site: Site, secret: str, url: str, *arguments: str) -> str:
    """The path and query of a URL that `imgsvc sign` has signed."""
    signed = site.command("sign", url, *arguments, SIGNING_SECRET=secret).strip()
    parts = urlsplit(signed)
    return f"{parts.path}?{parts.query}"


def signed(secret: str, path: str, seconds: int | None = None) -> str:
    """The same without a process."""
    return signing.signed(path, secret, expires=int(time.time()) + seconds if seconds else None)


async def test_who_may_see_a_private_image(site: Site) -> None:
    site.command("spaces", "set", "other")
    owner, reader = (site.new_key(scope, space="shop") for scope in ("upload", "read"))
    foreign, admin = site.new_key("read", space="other"), site.key
    image_id = await site.upload(bearer(owner), "?visibility=private")
    for path in pictures_of(image_id):
        for key, status in ((reader, 200), (admin, 200), (owner, 403), (foreign, 404), ("", 401)):
            assert (await site.request("GET", path, bearer(key) if key else {}))[0] == status, (path, key)
            assert (await site.request("HEAD", path, bearer(key) if key else {}))[0] == status, (path, key)


async def test_a_private_image_is_not_for_caches(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private")
    _, secret = site.new_signer()
    for path in pictures_of(image_id)[:5]:
        async with site.http.get(site.url + path, headers=bearer(site.key)) as response:
            assert response.headers["Cache-Control"] == "private, no-cache", path
        async with site.http.get(site.url + signed(secret, path, 3600)) as response:
            assert response.status == 200, await response.text()
            found = re.fullmatch("private, max-age=([0-9]+)", response.headers["Cache-Control"])
            assert found
            assert 3500 < int(found[1]) <= 3600
            assert not {"Viewers", "Xkey", "Surrogate-Control"} & set(response.headers)
    async with site.http.get(f"{site.url}/v1/images/{image_id}") as response:
        assert response.status == 401
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="imgsvc"'


async def test_a_private_image_does_not_leak_as_a_watermark(site: Site) -> None:
    public = await site.upload(bearer(site.key))
    private = await site.upload(bearer(site.key), "?visibility=private")
    path = f"/v1/images/{public}.png?watermark={private}"
    assert (await site.request("GET", path))[0] == 401
    async with site.http.get(site.url + path, headers=bearer(site.key)) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "private, no-cache"
        tag = response.headers["ETag"]
    assert (await site.request("GET", path))[0] == 401, "also from the result cache"
    assert (await site.request("GET", path, {"If-None-Match": tag}))[0] == 401


async def test_changing_the_visibility(site: Site) -> None:
    image_id = await site.upload(bearer(site.key))
    path = f"/v1/images/{image_id}.png?thumb=20"
    assert (await site.request("GET", path))[0] == 200
    status, facts = await site.json("PATCH", f"/v1/images/{image_id}", site.key, {"visibility": "private"})
    assert (status, facts["visibility"]) == (200, "private")
    assert (await site.request("GET", path))[0] == 401
    assert (await site.json("PATCH", f"/v1/images/{image_id}", site.key, {"visibility": "public"}))[0] == 200
    assert (await site.request("GET", path))[0] == 200
    for body in ({"visibility": "secret"}, {}, {"visibility": "public", "x": 1}, []):
        assert (await site.json("PATCH", f"/v1/images/{image_id}", site.key, body))[0] == 400
    assert (await site.json("PATCH", f"/v1/images/{'0' * 32}", site.key, {"visibility": "public"}))[0] == 404
    assert (await site.json("PATCH", f"/v1/images/{image_id}", "", {"visibility": "public"}))[0] == 401


async def test_a_space_contains_only_its_own_images(site: Site) -> None:
    keys = {space: site.new_key("upload", "list", "metadata", "delete", space=space) for space in ("red", "blue")}
    images = {space: await site.upload(bearer(key)) for space, key in keys.items()}
    for space, key in keys.items():
        _, listed = await site.json("GET", "/v1/images", key)
        assert [image["image_id"] for image in listed["images"]] == [images[space]]  # type: ignore[index, union-attr]
        assert (await site.json("GET", f"/v1/images/{images[space]}/info", key))[1]["space"] == space
    for method, path in (("GET", "/info"), ("DELETE", "")):
        status, text = await site.request(method, f"/v1/images/{images['blue']}{path}", bearer(keys["red"]))
        assert status == 404
        assert "does not exist" in text
    assert (await site.request("GET", "/v1/images?space=blue", bearer(keys["red"])))[0] == 404
    assert (await site.request("POST", "/v1/images?space=blue", {**JPEG, **bearer(keys["red"])}, PHOTO))[0] == 404
    assert (await site.json("GET", "/v1/images?space=blue", site.key))[1]["images"]
    assert (await site.request("DELETE", f"/v1/images/{images['red']}", bearer(keys["red"])))[0] == 204
    assert (await site.json("GET", f"/v1/images/{images['red']}/info", keys["blue"]))[0] == 404, "deleted or not"


async def test_quotas(site: Site) -> None:
    site.command("spaces", "set", "small", "--max-images", "2", "--max-uploads", "4")
    key = site.new_key("upload", "delete", space="small")
    upload = {**JPEG, **bearer(key)}
    answers = await asyncio.gather(*(site.request("POST", "/v1/images", upload, PHOTO) for _ in range(3)))
    assert sorted(status for status, _ in answers) == [201, 201, 403]
    assert "'small' has its 2 images" in next(text for status, text in answers if status == 403)
    kept = next(json.loads(text)["image_id"] for status, text in answers if status == 201)
    assert (await site.request("DELETE", f"/v1/images/{kept}", bearer(key)))[0] == 204
    site.command("spaces", "set", "small", "--max-bytes", str(2 * len(PHOTO)))
    assert (await site.request("POST", "/v1/images", upload, PHOTO))[0] == 201
    status, text = await site.request("POST", "/v1/images", upload, PHOTO)
    assert status == 403
    assert f"{2 * len(PHOTO)} of its {2 * len(PHOTO)} bytes" in text
    site.command("spaces", "set", "small", "--max-uploads", "0")
    async with site.http.post(f"{site.url}/v1/images", data=PHOTO, headers=upload) as response:
        assert response.status == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 60
    rows = json.loads(site.command("spaces", "list", "--json"))["spaces"]
    assert next(row for row in rows if row["space"] == "small")["images"] == 2


async def test_quotas_over_http(site: Site) -> None:
    status, space = await site.json("PUT", "/v1/spaces/web", site.key, {"max_images": 5})
    assert (status, space) == (
        200,
        {
            "space": "web",
            "bytes": 0,
            "images": 0,
            "max_bytes": None,
            "max_images": 5,
            "max_uploads_per_minute": None,
        },
    )
    assert space in (await site.json("GET", "/v1/spaces", site.key))[1]["spaces"]  # type: ignore[operator]
    for name, body in (("Web", {}), ("web", {"max_images": -1}), ("web", {"max_image": 1}), ("x" * 64, {})):
        assert (await site.json("PUT", f"/v1/spaces/{name}", site.key, body))[0] == 400
    assert (await site.json("GET", "/v1/spaces", site.new_key("list")))[0] == 403


async def test_a_signed_url_shows_a_private_image(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private")
    key, secret = site.new_signer()
    for path in pictures_of(image_id):
        assert (await site.request("GET", signed(secret, path, 3600)))[0] == 200, path
        status, answer = await site.json("POST", "/v1/sign", key, {"url": path, "expires_in": 60})
        assert status == 200, answer
        assert (await site.request("GET", str(answer["url"])))[0] == 200, path
    with_host = str((await site.json("POST", "/v1/sign", key, {"url": site.url + path}))[1]["url"])
    assert (await site.request("GET", with_host.removeprefix(site.url)))[0] == 200
    assert (await site.json("POST", "/v1/sign", site.new_key("read"), {"url": path}))[0] == 403
    for wrong in ("/v1/keys", "nonsense", f"{path}&key=1", "http://[", ""):
        assert (await site.json("POST", "/v1/sign", key, {"url": wrong}))[0] == 400, wrong


async def test_a_signature_is_for_its_space_only(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private&space=mine")
    path = f"/v1/images/{image_id}.png?thumb=20"
    for space, status in (("mine", 200), ("yours", 404)):
        _, secret = site.new_signer(space=space)
        assert (await site.request("GET", signed(secret, path)))[0] == status


async def test_a_signature_for_a_ladder_of_widths(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private")
    _, secret = site.new_signer()
    for name in ("w", "width", "thumb"):
        url = sign(site, secret, f"/v1/images/{image_id}.png?{name}=20&blur=1", "--widths", "10,20,30")
        for width in (10, 20, 30):
            assert (await site.request("GET", url.replace(f"{name}=20", f"{name}={width}")))[0] == 200
        for wrong in (f"{name}=11", f"{name}=020", f"{name}=20&w=20", f"{name}=", "q=20"):
            assert (await site.request("GET", url.replace(f"{name}=20", wrong)))[0] == 403, wrong
        assert (await site.request("GET", url.replace("10,20,30", "10,20,31")))[0] == 403
    url = sign(site, secret, f"/v1/images/{image_id}.png?preset=tiny", "--presets", "tiny,large")
    assert (await site.request("GET", url))[0] == 200
    assert (await site.request("GET", url.replace("preset=tiny", "preset=huge")))[0] == 403
    srcset = site.command(
        "sign", f"/v1/images/{image_id}.png?w=10", "--widths=10,20", "--srcset", SIGNING_SECRET=secret
    )
    for part in srcset.strip().split(", "):
        assert (await site.request("GET", part.split()[0]))[0] == 200


async def test_no_change_of_a_signed_url_is_accepted(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private")
    _, secret = site.new_signer()
    target = signed(secret, f"/v1/images/{image_id}.webp?thumb=20&blur=1.5", 3600)
    assert (await site.request("GET", target))[0] == 200
    path, _, query = target.partition("?")
    pairs = query.split("&")
    changed = [target[:place] + chr(ord(target[place]) ^ 1) + target[place + 1 :] for place in range(4, len(target))]
    changed += [target[:place] + target[place + 1 :] for place in range(11, len(target))]
    changed += [target[:place] + f"%{ord(target[place]):02x}" + target[place + 1 :] for place in range(12, len(target))]
    changed += [target[:place] + target[place].swapcase() + target[place + 1 :] for place in range(11, len(target))]
    changed += [f"{path}?{'&'.join(pairs[place:] + pairs[:place])}" for place in range(1, len(pairs))]
    changed += [f"{path}?{query}&{pair}" for pair in pairs]
    changed += [f"{path}?{pair}&{query}" for pair in pairs]
    changed += [f"{target}{more}" for more in ("&thumb=9", "&", "=", "&v=1", "%00", "&utm_source=x", "&signature=")]
    changed += [f"{path}?{query.replace('expires=', 'expires=0')}", f"{path}?{query.replace('expires=', 'expires=-')}"]
    answers = {}
    for each in set(changed) - {target}:
        async with site.from_elsewhere() as elsewhere:
            answers[each] = (await elsewhere.request("GET", each))[0]
    assert len(answers) > 500
    assert {status for each, status in answers.items() if "#" not in each} <= {400, 401, 403, 404, 406}
    assert (await site.request("GET", target))[0] == 200, "after all that"


async def test_an_expired_and_a_revoked_signature(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private")
    key, secret = site.new_signer()
    short, long = (sign(site, secret, f"/v1/images/{image_id}", "--expires", text) for text in ("1s", "1h"))
    await asyncio.sleep(1.1)
    status, text = await site.request("GET", short)
    assert status == 403
    assert "expired" in text
    assert (await site.request("GET", long))[0] == 200
    site.keys("revoke", key.split("_")[1])
    latest = time.monotonic() + 5
    while (answer := await site.request("GET", long))[0] != 403:
        assert time.monotonic() < latest
    assert "revoked" in answer[1]


async def test_both_secrets_work_during_a_rotation(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private")
    key, old = site.new_signer()
    _, new = site.keys("rotate", key.split("_")[1], "--overlap", "3s").splitlines()[:2]
    urls = [signed(secret, f"/v1/images/{image_id}.png?thumb=9") for secret in (old, new)]
    assert [(await site.request("GET", url))[0] for url in urls] == [200, 200]
    latest = time.monotonic() + 8
    while (await site.request("GET", urls[0]))[0] != 403:
        assert time.monotonic() < latest
    assert (await site.request("GET", urls[1]))[0] == 200


async def test_parameters_of_signed_urls_elsewhere(site: Site) -> None:
    image_id = await site.upload(bearer(site.key))
    for query in (
        "key=abababababab",
        "expires=1",
        "signature=x",
        "widths=1",
        "presets=a",
        "thumb=9&expires=99999999999",
    ):
        for path in (f"/v1/images/{image_id}", f"/v1/images/{image_id}.png", f"/v1/transform?image_id={image_id}&"):
            status, text = await site.request("GET", f"{path}?{query}".replace("&?", "&"))
            assert status == 403, text
            assert "signature" in text
    for query in ("%6bey=1", "signatur%65=x"):
        assert (await site.request("GET", f"/v1/images/{image_id}.png?{query}"))[0] == 400
    assert (await site.request("GET", "/v1/images?key=1", bearer(site.key)))[0] == 400


async def test_an_upload_token(site: Site) -> None:
    key = site.new_key("upload", space="album")
    wish = {"max_bytes": len(PHOTO), "formats": ["jpg"], "visibility": "private", "expires_in": 60}
    status, token = await site.json("POST", "/v1/uploads", key, wish)
    assert status == 201, token
    assert (token["count"], token["space"], token["visibility"]) == (1, "album", "private")
    headers = {**bearer(str(token["token"])), "Origin": "https://shop.example"}
    assert (await site.request("POST", "/v1/images", {**headers, **JPEG}, PHOTO + b"x"))[0] == 413
    gif = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    status, text = await site.request("POST", "/v1/images", {**headers, "Content-Type": "image/gif"}, gif)
    assert status == 415
    assert "the upload token allows jpeg" in text
    assert (await site.request("POST", "/v1/images?space=x", {**headers, **JPEG}, PHOTO))[0] == 400
    answers = await asyncio.gather(*(site.request("POST", "/v1/images", {**headers, **JPEG}, PHOTO) for _ in range(5)))
    assert sorted(status for status, _ in answers) == [201, 403, 403, 403, 403]
    assert "used already" in next(text for status, text in answers if status == 403)
    stored = json.loads(next(text for status, text in answers if status == 201))
    assert (stored["visibility"], stored["space"]) == ("private", "album")
    for method, path in (
        ("GET", "/v1/images"),
        ("DELETE", f"/v1/images/{stored['image_id']}"),
        ("POST", "/v1/uploads"),
    ):
        status, text = await site.request(method, path, bearer(str(token["token"])))
        assert (status, "an upload token is for uploads only" in text) == (403, True), path


async def test_an_upload_token_ends_with_its_time_and_its_key(site: Site) -> None:
    key = site.new_key("upload")
    _, short = await site.json("POST", "/v1/uploads", key, {"expires_in": 1, "count": 3})
    _, long = await site.json("POST", "/v1/uploads", key, {"count": 3})
    await asyncio.sleep(1.1)
    status, text = await site.request("POST", "/v1/images", {**JPEG, **bearer(str(short["token"]))}, PHOTO)
    assert status == 403
    assert "expired" in text
    assert (await site.request("POST", "/v1/images", {**JPEG, **bearer(str(long["token"]))}, PHOTO))[0] == 201
    site.keys("revoke", key.split("_")[1])
    status, text = await site.request("POST", "/v1/images", {**JPEG, **bearer(str(long["token"]))}, PHOTO)
    assert status == 403
    assert "revoked" in text
    for wrong in ({"max_bytes": 0}, {"count": 0}, {"formats": ["exe"]}, {"space": "A"}, {"visibility": "x"}, {"x": 1}):
        assert (await site.json("POST", "/v1/uploads", site.key, wrong))[0] == 400, wrong


async def test_the_audit_trail(site: Site) -> None:
    key = site.new_key("upload", "delete", "sign")
    key_id = key.split("_")[1]
    headers = {**bearer(key), "X-Request-ID": "audited"}
    image_id = await site.upload(headers)
    await site.json("PATCH", f"/v1/images/{image_id}", key, {"visibility": "private"})
    await site.json("POST", "/v1/sign", key, {"url": f"/v1/images/{image_id}"})
    await site.request("DELETE", f"/v1/images/{image_id}", bearer(key))
    await site.request("DELETE", f"/v1/images/{image_id}", bearer(key))
    entries = json.loads(site.command("audit", "--key", key_id, "--json"))["entries"]
    assert [entry["action"] for entry in entries] == ["delete", "sign", "visibility", "upload"]
    assert entries[-1]["request_id"] == "audited"
    assert entries[-1]["subject"] == image_id
    over_http = (await site.json("GET", f"/v1/audit?key_id={key_id}", site.key))[1]["entries"]
    assert over_http == entries
    created = json.loads(site.command("audit", "--subject", key_id, "--json"))["entries"]
    assert [(entry["key_id"], entry["action"]) for entry in created] == [(site.key.split("_")[1], "key-create")]
    assert image_id in site.command("audit")


async def test_variants_of_other_servers_require_a_right(site: Site) -> None:
    path = "/v1/transform?url=http://127.0.0.1/x.png&thumb=9"
    assert (await site.request("GET", path))[0] == 401
    assert (await site.request("GET", path, bearer(site.new_key("list"))))[0] == 403
    _, secret = site.new_signer()
    for headers, url in ((bearer(site.key), path), ({}, signed(secret, path))):
        status, text = await site.request("GET", url, headers)
        assert status == 400, "the address is refused by what fetches it"
        assert "127.0.0.1" in text


async def test_an_allow_listed_host_is_open(
    tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession
) -> None:
    with closed_site(tmp_path_factory.mktemp("hosts"), http, REMOTE_ALLOWED_HOSTS='["127.0.0.1", "*.example"]') as site:
        for host, status in (("127.0.0.1", 400), ("a.example", 502), ("example", 401), ("b.a.example", 401)):
            assert (await site.request("GET", f"/v1/transform?url=http://{host}/x.png"))[0] == status, host


@pytest.mark.parametrize("variants", ["listed", "signed"])
async def test_a_deployment_may_restrict_variants(
    tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession, variants: str
) -> None:
    environment = {"VARIANTS": variants, "WIDTHS": "[20, 30]", "PRESETS": '{"tiny": "thumb=10"}'}
    with closed_site(tmp_path_factory.mktemp("variants"), http, **environment) as site:
        image_id = await site.upload(bearer(site.key))
        _, secret = site.new_signer()
        listed = ("?thumb=20", ".webp?w=30", ".webp", ".png?preset=tiny", "?width=20&utm_source=x")
        others = ("?thumb=21", "?thumb=20&blur=1", "?w=20&thumb=30", "?thumb=020", "?w=20&v=1", "?w=%32%30", "?%77=20")
        others += ("?w=20&&", "?&w=20", "?w=20&utm%5Fa=1", "?format=PNG&w=20", "?preset=%74iny")
        for query in (*listed, *others):
            expected = 200 if variants == "listed" and query in listed else 401
            assert (await site.request("GET", f"/v1/images/{image_id}{query}"))[0] == expected, query
        assert (await site.request("GET", f"/v1/images/{image_id}?thumb={'9' * 5000}"))[0] == 400
        for query in (*listed, *others[:3]):
            path = f"/v1/images/{image_id}{query}"
            assert (await site.request("GET", path, bearer(site.key)))[0] == 200, query
            if "utm" not in query:
                assert (await site.request("GET", signed(secret, path)))[0] == 200, query
        assert (await site.request("GET", f"/v1/images/{image_id}"))[0] == 200, "an original is no variant"


async def test_on_this_machine_tokens_and_signatures_work_too(
    tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession
) -> None:
    with local_site(tmp_path_factory.mktemp("local"), http) as site:
        image_id = await site.upload(query="?visibility=private")
        assert (await site.request("GET", f"/v1/images/{image_id}.png"))[0] == 200, "everybody is the owner"
        _, secret = site.new_signer()
        url = signed(secret, f"/v1/images/{image_id}.png")
        assert (await site.request("GET", url))[0] == 200
        assert (await site.request("GET", url + "x"))[0] == 403
        _, token = await site.json("POST", "/v1/uploads", "", {})
        headers = {**JPEG, **bearer(str(token["token"])), "Origin": "https://shop.example"}
        assert (await site.request("POST", "/v1/images", headers, PHOTO))[0] == 201
        assert (await site.request("POST", "/v1/images", headers, PHOTO))[0] == 403


async def test_wrong_credentials_are_throttled(
    tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession
) -> None:
    with closed_site(tmp_path_factory.mktemp("throttled"), http) as site:
        image_id = await site.upload(bearer(site.key), "?visibility=private")
        unused = site.new_key("list")
        _, secret = site.new_signer()
        url = signed(secret, f"/v1/images/{image_id}")

        async def guess(number: int) -> int:
            return (await site.request("GET", "/v1/images", bearer(f"ik_abababababab_{number:043}")))[0]

        assert {await guess(number) for number in range(30)} == {403}
        # At once, since a slow machine would send too few in ten seconds one after the other.
        await asyncio.gather(*(guess(number) for number in range(30, 200)))
        assert await guess(200) == 429
        async with site.http.get(f"{site.url}/v1/images", headers=bearer(unused)) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "10")
        assert (await site.request("GET", "/v1/images", bearer(site.key)))[0] == 200, "it was right before"
        assert (await site.request("GET", f"/v1/images/{image_id}"))[0] == 401, "there is nothing to guess"
        assert (await site.request("GET", url[:-43] + "A" * 43))[0] == 429


async def test_an_upload_that_breaks_off_does_not_use_up_a_token(site: Site) -> None:
    _, token = await site.json("POST", "/v1/uploads", site.key, {})
    headers = {**JPEG, **bearer(str(token["token"]))}
    url = URL(site.url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": len(PHOTO)}.items())
    writer.write(f"POST /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode() + PHOTO[:-1])
    await writer.drain()
    async with asyncio.timeout(20):
        while _uses_left(site, str(token["token"])) != 0:
            await asyncio.sleep(0.05)
        writer.transport.abort()
        while _uses_left(site, str(token["token"])) != 1:
            await asyncio.sleep(0.05)
    assert (await site.request("POST", "/v1/images", headers, PHOTO))[0] == 201


def _uses_left(site: Site, token: str) -> int:
    with contextlib.closing(sqlite3.connect(site.folder / "images.sqlite3")) as database:
        query = "SELECT uses_left FROM upload_tokens WHERE token_id = ?"
        return int(database.execute(query, [token.split("_")[1]]).fetchone()[0])


async def test_who_may_only_upload_cannot_publish_what_is_private(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private")
    uploader = site.new_key("upload")
    status, answer = await site.json("PATCH", f"/v1/images/{image_id}", uploader, {"visibility": "public"})
    assert status == 403
    assert "requires the scope `read` as well" in str(answer["detail"])
    assert (await site.request("GET", f"/v1/images/{image_id}"))[0] == 401
    both = site.new_key("upload", "read")
    assert (await site.json("PATCH", f"/v1/images/{image_id}", both, {"visibility": "public"}))[0] == 200


async def test_a_wrong_signature_says_nothing_about_its_key(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private")
    key, secret = site.new_signer()
    revoked = key.split("_")[1]
    right = signed(secret, f"/v1/images/{image_id}")
    site.keys("revoke", revoked)
    reader = site.new_key("read").split("_")[1]
    answers = set()
    for key_id in (revoked, reader, "0" * 12, site.key.split("_")[1]):
        async with site.from_elsewhere() as elsewhere:
            url = f"/v1/images/{image_id}?key={key_id}&signature={'A' * 43}"
            answers.add(json.loads((await elsewhere.request("GET", url))[1])["detail"])
    assert answers == {"the signature is not valid"}
    assert "revoked" in (await site.request("GET", right))[1], "only who has a right one learns more"


async def test_the_audit_trail_is_bounded(
    tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession
) -> None:
    with closed_site(tmp_path_factory.mktemp("audit"), http, AUDIT_ENTRIES="10") as site:
        for _ in range(35):
            assert (await site.json("POST", "/v1/sign", site.key, {"url": "/v1/images/x"}))[0] == 200
        assert 10 <= len((await site.json("GET", "/v1/audit?limit=1000", site.key))[1]["entries"]) <= 20  # type: ignore[arg-type]
        site.command("audit", AUDIT_ENTRIES="10")
        assert len((await site.json("GET", "/v1/audit?limit=1000", site.key))[1]["entries"]) == 10  # type: ignore[arg-type]
