"""Private images and signed URLs through nginx and Varnish: nothing reaches a client without the right to see it."""

import asyncio
import itertools
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from service_kit import signing
from tests import edge, pictures

PHOTO = bytes(pictures.noise(60, 40).jpegsave_buffer())
JPEG = {"Content-Type": "image/jpeg"}
LAYERS = ("nginx", "varnish")
PATHS = ("/v1/images/{}", "/v1/images/{}.webp", "/v1/images/{}.png?thumb=20", "/v1/transform?image_id={}&thumb=9")


_ADDRESSES = itertools.count()


@dataclass
class Answer:
    """A response."""

    status: int
    headers: CIMultiDict[str]
    body: bytes

    @property
    def from_cache(self) -> bool:
        return self.headers.get("X-Cache") == "HIT"


@dataclass
class Place:
    """Both services behind nginx and Varnish, and the first key."""

    edge: edge.Edge
    http: aiohttp.ClientSession
    admin: str

    async def ask(
        self, path: str, key: str = "", method: str = "GET", body: object = None, layer: str = "varnish", **headers: str
    ) -> Answer:
        """The response to a request, whose path and query are sent as they are."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            sent["Authorization"] = f"Bearer {key}"
        data = body
        if isinstance(body, dict):
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        url = URL(self.edge.url(layer) + path, encoded=True)
        async with self.http.request(method, url, headers=sent, data=data) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def json(self, path: str, method: str, body: dict[str, object], key: str = "") -> dict[str, object]:
        """The JSON of a response."""
        answer = await self.ask(path, key or self.admin, method, body)
        assert answer.status < 300, answer
        return dict(json.loads(answer.body))

    async def key(self, *scopes: str, space: str | None = None) -> dict[str, str]:
        """A new key, with its secrets."""
        wanted = {"name": "test", "scopes": list(scopes), "space": space}
        return {name: str(value) for name, value in (await self.json("/v1/keys", "POST", wanted)).items()}

    async def upload(self, query: str = "?visibility=private", key: str = "") -> str:
        """Upload an image, and return its ID."""
        answer = await self.ask(f"/v1/images{query}", key or self.admin, "POST", PHOTO, Content_Type="image/jpeg")
        assert answer.status == 201, answer
        return str(json.loads(answer.body)["image_id"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Place]:
    with edge.started(tmp_path_factory.mktemp("private"), AUTH="keys", TRUSTED_PROXIES="127.0.0.1") as started:
        (admin,) = set(re.findall("ik_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", started.log("storage")))
        yield Place(started, http, admin)


def signed(secret: str, path: str, seconds: float | None = 3600) -> str:
    expires = None if seconds is None else int(time.time() + seconds)
    return signing.signed(path, secret, expires=expires)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("path", PATHS)
async def test_every_row_of_the_table(place: Place, layer: str, path: str) -> None:
    """Whoever comes first, cold or from the cache, everybody gets what is theirs."""
    reader = await place.key("read", "sign", space="shop")
    foreign = await place.key("read", "sign", space="other")
    uploader = await place.key("upload", space="shop")
    rows = {
        "admin": (200, place.admin, False),
        "reader": (200, reader["key"], False),
        "signed": (200, reader["signing_secret"], True),
        "foreign": (404, foreign["key"], False),
        "signed by a foreign key": (404, foreign["signing_secret"], True),
        "without the scope": (403, uploader["key"], False),
        "wrong key": (403, reader["key"][:-1] + "!", False),
        "nobody": (401, "", False),
    }
    for first in rows:
        image_id = await place.upload("?visibility=private&space=shop")
        url = path.format(image_id)
        for name in (first, *rows, *rows):
            status, credential, is_secret = rows[name]
            target, key = (signed(credential, url), "") if is_secret else (url, credential)
            # From many addresses: one that sends many wrong keys is throttled.
            address = f"192.0.2.{next(_ADDRESSES) % 250}"
            answer = await place.ask(target, key, layer=layer, X_Forwarded_For=address)
            assert answer.status == status, (first, name, answer)
            assert "Viewers" not in answer.headers or layer == "nginx"
            if status != 200:
                assert answer.headers["Cache-Control"] == "no-store"
                assert json.loads(answer.body)["status"] == status
                continue
            if is_secret:
                found = re.fullmatch("private, max-age=([0-9]+)", answer.headers["Cache-Control"])
                assert found
                assert 3500 < int(found[1]) <= 3600
            else:
                assert answer.headers["Cache-Control"] == "private, no-cache"
        if layer == "varnish":
            assert (await place.ask(url, place.admin)).from_cache
            assert (await place.ask(signed(reader["signing_secret"], url))).from_cache


@pytest.mark.parametrize("path", PATHS)
async def test_no_answer_reaches_anyone_without_the_right(place: Place, path: str) -> None:
    """1,000 interleavings: two identities race for new images, and the cache forgets some of them meanwhile."""
    reader, foreign = await place.key("read", "sign", space="a"), await place.key("read", space="b")
    chance = random.Random(path)
    images = [await place.upload("?visibility=private&space=a") for _ in range(10)]

    async def pair(number: int) -> None:
        url = path.format(chance.choice(images)) + (f"{'&' if '?' in path else '?'}v={number % 50}")
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        with_right = chance.choice([(url, reader["key"]), (signed(reader["signing_secret"], url), "")])
        without = chance.choice([(url, ""), (url, foreign["key"])])
        order = [with_right, without]
        chance.shuffle(order)
        answers = await asyncio.gather(*(place.ask(target, key) for target, key in order))
        statuses = {given: answer.status for given, answer in zip(order, answers, strict=True)}
        assert statuses[with_right] == 200
        assert statuses[without] == (404 if without[1] else 401)

    for start in range(0, 1000, 20):
        await asyncio.gather(*map(pair, range(start, start + 20)))


async def test_no_change_of_a_signed_url_is_accepted(place: Place) -> None:
    image_id = await place.upload()
    secret = (await place.key("sign"))["signing_secret"]
    target = signed(secret, f"/v1/images/{image_id}.webp?thumb=20&blur=1.5")
    assert (await place.ask(target)).status == 200
    assert (await place.ask(target)).from_cache
    path, _, query = target.partition("?")
    pairs = query.split("&")
    changed = {target[:at] + chr(ord(target[at]) ^ 1) + target[at + 1 :] for at in range(4, len(target))}
    changed |= {target[:at] + target[at + 1 :] for at in range(11, len(target))}
    changed |= {target[:at] + f"%{ord(target[at]):02x}" + target[at + 1 :] for at in range(12, len(target))}
    changed |= {target[:at] + target[at].swapcase() + target[at + 1 :] for at in range(11, len(target))}
    changed |= {f"{path}?{'&'.join(pairs[at:] + pairs[:at])}" for at in range(1, len(pairs))}
    changed |= {f"{path}?{query}&{pair}" for pair in pairs} | {f"{path}?{pair}&{query}" for pair in pairs}
    changed |= {target + more for more in ("&thumb=9", "&", "=", "&v=1", "%00", "&utm_source=x", "&gclid=1", "&key=")}
    changed |= {target.replace("?", "?utm_source=x&"), target.replace("&key", "&fbclid=1&key")}
    # From many addresses: one would soon be throttled.
    statuses = {
        each: (await place.ask(each, X_Forwarded_For=f"192.0.2.{number % 250}")).status
        for number, each in enumerate(changed - {target})
        if "#" not in each
    }
    assert len(statuses) > 500
    assert not {each: status for each, status in statuses.items() if status not in {400, 401, 403, 404, 406}}
    assert 403 in statuses.values()


async def test_a_signature_is_not_part_of_the_cache_key(place: Place) -> None:
    """Rotation causes no miss: URLs that differ only in key, expiry and signature share one object."""
    image_id = await place.upload()
    old = await place.key("sign")
    url = f"/v1/images/{image_id}.webp?thumb=30"
    assert not (await place.ask(signed(old["signing_secret"], url))).from_cache
    new = await place.json(f"/v1/keys/{old['key_id']}/rotate", "POST", {"overlap_seconds": 2})
    for secret, seconds in itertools.product((old["signing_secret"], str(new["signing_secret"])), (60, 600, None)):
        answer = await place.ask(signed(secret, url, seconds))
        assert answer.from_cache, answer
    until = time.monotonic() + 2 + 5
    while (answer := await place.ask(signed(old["signing_secret"], url))).status == 200:
        assert time.monotonic() < until
    assert answer.status == 403
    assert b"expired" in answer.body
    assert (await place.ask(signed(str(new["signing_secret"]), url))).from_cache


async def test_a_revoked_key_and_its_urls_end_within_five_seconds(place: Place) -> None:
    image_id, key = await place.upload(), await place.key("read", "sign")
    url = f"/v1/images/{image_id}.png?thumb=30"
    requests = ((url, key["key"]), (signed(key["signing_secret"], url), ""))
    for target, credential in requests:
        for _ in range(2):
            assert (await place.ask(target, credential)).status == 200
    assert (await place.ask(f"/v1/keys/{key['key_id']}", place.admin, "DELETE")).status == 204
    until = time.monotonic() + 5
    while {(await place.ask(target, credential)).status for target, credential in requests} != {403}:
        assert time.monotonic() < until


async def test_an_expiry_ends_hits(place: Place) -> None:
    image_id = await place.upload()
    secret = (await place.key("sign"))["signing_secret"]
    target = signed(secret, f"/v1/images/{image_id}.png?thumb=30", 3)
    assert (await place.ask(target)).status == 200
    assert (await place.ask(target)).from_cache
    until = time.monotonic() + 4.5
    while (answer := await place.ask(target)).status == 200:
        assert int(answer.headers["Cache-Control"].rpartition("=")[2]) <= 3
        assert time.monotonic() < until
    assert (answer.status, b"expired" in answer.body) == (403, True)


async def test_changing_the_visibility_reaches_the_cache(place: Place) -> None:
    image_id = await place.upload("")
    url = f"/v1/images/{image_id}.png?thumb=30"
    for _ in range(2):
        public = await place.ask(url)
    assert public.from_cache
    assert public.headers["Cache-Control"].startswith("public")
    await place.json(f"/v1/images/{image_id}", "PATCH", {"visibility": "private"})
    assert (await place.ask(url)).status == 401
    assert (await place.ask(url, place.admin)).status == 200
    assert (await place.ask(url)).status == 401, "from the cache"
    await place.json(f"/v1/images/{image_id}", "PATCH", {"visibility": "public"})
    until = time.monotonic() + 2  # for a second, Varnish remembers that the answer could not be shared
    while not (answer := await place.ask(url)).from_cache:
        assert answer.status == 200
        assert time.monotonic() < until
    assert (await place.ask(f"/v1/images/{image_id}", place.admin, "DELETE")).status == 204
    for key in ("", place.admin):
        assert (await place.ask(url, key)).status == 410


@pytest.mark.parametrize("path", PATHS)
async def test_a_pending_image_is_in_no_cache_until_it_is_released(place: Place, path: str) -> None:
    """Not even for those who have the right: with an object of theirs, a signed URL would be a hit."""
    reader, moderator = await place.key("read", "sign"), await place.key("moderate")
    image_id = await place.upload("?visibility=pending")
    url = path.format(image_id)
    requests = [(url, reader["key"], 200), (url, "", 401), (signed(reader["signing_secret"], url), "", 403)]
    for _ in range(3):
        for target, key, status in requests:
            answer = await place.ask(target, key)
            assert (answer.status, answer.from_cache) == (status, False), target
            assert "no-store" in answer.headers["Cache-Control"]
        both = await asyncio.gather(*(place.ask(target, key) for target, key, _ in requests * 3))
        assert [answer.status for answer in both] == [status for *_, status in requests * 3]
    await place.json(f"/v1/images/{image_id}", "PATCH", {"visibility": "public"}, moderator["key"])
    for target, key, _ in (*requests, *requests):
        assert (await place.ask(target, key)).status == 200
    until = time.monotonic() + 2  # for a second, Varnish remembers that the answer could not be shared
    while not (answer := await place.ask(url)).from_cache:
        assert answer.status == 200
        assert time.monotonic() < until
    await place.json(f"/v1/images/{image_id}", "PATCH", {"visibility": "pending"})
    for target, key, status in requests:
        assert (await place.ask(target, key)).status == status
    assert (await place.ask(f"/v1/images/{image_id}", place.admin, "DELETE")).status == 204
    assert (await place.ask(url)).status == 410


async def test_a_pending_image_with_a_name_is_in_no_cache_until_it_is_released(place: Place) -> None:
    image_id = await place.upload("?visibility=pending")
    await place.json("/v1/names/pending/hero.jpg", "PUT", {"image_id": image_id})
    for url in ("/v1/names/pending/hero.jpg", "/v1/names/pending/hero.jpg?thumb=20"):
        for key, status in ((place.admin, 200), ("", 401), (place.admin, 200), ("", 401)):
            answer = await place.ask(url, key)
            assert (answer.status, answer.from_cache) == (status, False), url
    await place.json(f"/v1/images/{image_id}", "PATCH", {"visibility": "public"})
    for url in ("/v1/names/pending/hero.jpg", "/v1/names/pending/hero.jpg?thumb=20"):
        assert (await place.ask(url)).status == 200


async def test_conditions_and_ranges_of_private_images(place: Place) -> None:
    image_id, key = await place.upload(), await place.key("read", "sign")
    url = f"/v1/images/{image_id}"
    target = signed(key["signing_secret"], url)
    for given, credential in ((url, key["key"]), (target, "")):
        tag = (await place.ask(given, credential)).headers["ETag"]
        assert (await place.ask(given, credential, If_None_Match=tag)).status == 304
        assert (await place.ask(given, credential, If_None_Match="*")).status == 304
        assert (await place.ask(given, credential, Range="bytes=0-9")).body == PHOTO[:10]
        assert (await place.ask(given, credential, "HEAD")).status == 200
    for method, headers in (("GET", {"If_None_Match": tag}), ("GET", {"Range": "bytes=0-9"}), ("HEAD", {})):
        assert (await place.ask(url, "", method, **headers)).status == 401
    fresh = await place.upload()  # not in the cache yet
    for headers in ({"If_None_Match": "*"}, {"Range": "bytes=0-9"}):
        assert (await place.ask(f"/v1/images/{fresh}", **headers)).status == 401
        answer = await place.ask(signed(key["signing_secret"], f"/v1/images/{fresh}"), **headers)
        assert answer.status in {206, 304}


async def test_a_client_cannot_grant_itself_anything(place: Place) -> None:
    image_id = await place.upload()
    url = f"/v1/images/{image_id}.png?thumb=30"
    assert (await place.ask(url, place.admin)).status == 200
    forged = {"Grant": "all", "Grant_Until": "never", "X_Picture": url, "X_Signed": url, "Viewers": "any"}
    for name, value in forged.items():
        assert (await place.ask(url, **{name: value})).status == 401, name
    assert (await place.ask(url, **forged)).status == 401
    for path in ("/internal/access", f"/internal/access{url}", "/v1/../internal/access"):
        assert (await place.ask(path, place.admin)).status in {400, 404}, path


async def test_watermarks_of_two_spaces_are_for_those_who_see_both(place: Place) -> None:
    below, above = [await place.upload(f"?visibility=private&space={space}") for space in ("one", "two")]
    url = f"/v1/images/{below}.png?watermark={above}"
    readers = [await place.key("read", space=space) for space in ("one", "two")]
    for _ in range(2):
        assert (await place.ask(url, place.admin)).status == 200
        assert [(await place.ask(url, reader["key"])).status for reader in readers] == [404, 404]


@pytest.mark.parametrize("way", ["pictures", "lists", "signatures"])
async def test_wrong_credentials_are_throttled_without_slowing_others(place: Place, way: str) -> None:
    image_id = await place.upload()
    url = f"/v1/images/{image_id}.png?thumb=30"
    secret = (await place.key("sign"))["signing_secret"]
    attack: dict[str, Callable[[int], tuple[str, str]]] = {
        "pictures": lambda number: (url, f"ik_abababababab_{number:043}"),
        "lists": lambda number: ("/v1/images", f"ik_abababababab_{number:043}"),
        "signatures": lambda number: (signed(secret, url)[:-43] + f"{number:043}", ""),
    }
    address = f"203.0.113.{[*attack].index(way) + 1}"
    statuses = []
    for number in range(100):
        target, key = attack[way](number)
        statuses.append((await place.ask(target, key, X_Forwarded_For=address)).status)
    assert set(statuses) == {403, 429}
    assert 30 <= statuses.count(403) <= 60
    unknown = (await place.key("read", "list"))["key"]  # Varnish remembers others for two seconds
    refused = await place.ask("/v1/images" if way == "lists" else url, unknown, X_Forwarded_For=address)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
    assert (await place.ask(url, unknown, X_Forwarded_For="203.0.113.250")).status == 200
    assert (await place.ask(signed(secret, url), X_Forwarded_For="203.0.113.250")).status == 200


async def test_a_signed_url_cannot_fill_the_cache_for_another_url(place: Place) -> None:
    """What looks like the start of the signature is part of a value."""
    image_id = await place.upload("")
    secret = (await place.key("sign", space="evil"))["signing_secret"]
    path = f"/v1/images/{image_id}.png?thumb=30&download=a"
    for tail in ("?widths=1", "?presets=evil", "?key=0123456789ab", "?widths=1&x", "?"):
        answer = await place.ask(signed(secret, path + tail))
        assert answer.status in {200, 400, 403}, tail
        assert not (await place.ask(path + "&v=" + tail.strip("?=&"))).from_cache
    answer = await place.ask(path)
    assert not answer.from_cache
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a.png"'


@pytest.mark.parametrize("before", ["open", "keys"])
async def test_a_change_of_the_mode_reaches_what_is_cached(
    tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession, before: str
) -> None:
    """Only the services start again; Varnish keeps what it has."""
    after = "keys" if before == "open" else "open"
    with edge.started(tmp_path_factory.mktemp("modes"), AUTH=before) as started:
        first = set(re.findall("ik_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", started.log("storage")))
        place = Place(started, http, "".join(first))
        image_id = await place.upload()
        url = f"/v1/images/{image_id}.png?thumb=30"
        expected = {"open": 200, "keys": 401}
        assert (await place.ask(url, place.admin)).status == 200
        for _ in range(2):
            assert (await place.ask(url)).status == expected[before]
        with edge.restarted(started, AUTH=after):
            until = time.monotonic() + 5
            while (await place.ask(url)).status != expected[after]:
                assert time.monotonic() < until
            for _ in range(3):
                assert (await place.ask(url)).status == expected[after]


@pytest.mark.parametrize("kind", ["keys", "tokens", "pictures"])
async def test_wrong_credentials_with_a_body_are_throttled_too(place: Place, kind: str) -> None:
    """Varnish passes bodies on as streams, and sees no answer to them."""
    path, prefix, method = {
        "keys": ("/v1/keys", "ik_abababababab_", "POST"),
        "tokens": ("/v1/images", "ut_abababababababab_", "POST"),
        "pictures": ("/v1/images", "ik_abababababab_", "GET"),
    }[kind]
    address = f"198.51.100.{['keys', 'tokens', 'pictures'].index(kind) + 1}"
    statuses = [
        (
            await place.ask(
                path, f"{prefix}{number:043}", method, PHOTO, Content_Type="image/jpeg", X_Forwarded_For=address
            )
        ).status
        for number in range(60)
    ]
    assert set(statuses) == {403, 429}
    assert statuses[-1] == 429


async def test_no_output_of_any_part_has_a_secret(place: Place) -> None:
    """Comes last, so that it sees the output of all tests above."""
    key = await place.key("read", "sign", "upload", "list")
    image_id = await place.upload()
    path = f"/v1/images/{image_id}.png?thumb=30"
    token = str((await place.json("/v1/uploads", "POST", {}))["token"])
    urls = [signed(key["signing_secret"], path), signed(key["signing_secret"], path, -60)]
    answers = [await place.ask(url) for url in urls]
    answers += [await place.ask(path, key["key"]), await place.ask("/v1/images", f"{key['key']}x")]
    answers += [await place.ask(f"{urls[0]}&x", layer="nginx"), await place.ask("/v1/images", token)]
    answers += [await place.ask("/v1/images", token, "POST", b"no image", Content_Type="image/jpeg")]
    assert {answer.status for answer in answers} == {200, 403, 415}
    secrets = {key["key"].split("_", 2)[2], key["signing_secret"].split("_", 2)[2], token.split("_", 2)[2]}
    secrets |= {signing.taken_apart(url).signature for url in urls}  # type: ignore[union-attr]
    for answer in answers:
        assert not [secret for secret in secrets if secret.encode() in answer.body]
    await place.ask("/v1/images/logged-last")
    output = {}
    for name in ("storage", "transform"):
        async with place.http.get(f"http://127.0.0.1:{place.edge.ports[name]}/metrics") as response:
            output[f"metrics of {name}"] = await response.text()
    until = time.monotonic() + 20
    while "logged-last" not in place.edge.log("varnish"):
        assert time.monotonic() < until
        await asyncio.sleep(0.1)
    output |= {name: place.edge.log(name) for name in ("storage", "transform", "nginx", "varnish")}
    assert all(image_id in output[name] for name in ("storage", "transform", "nginx", "varnish"))
    output["the database"] = (place.edge.folder / "data/images.sqlite3").read_bytes().decode("latin-1")
    output["its log"] = (place.edge.folder / "data/images.sqlite3-wal").read_bytes().decode("latin-1")
    for name, text in output.items():
        assert not [secret for secret in secrets if secret in text], name
        assert "signature=-" in text or name not in {"storage", "transform", "nginx", "varnish"}
