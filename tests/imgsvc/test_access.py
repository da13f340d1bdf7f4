"""Who may do what, at a running `imgsvc serve`."""

import base64
import itertools
import json
import math
import random
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from service_kit.access import Scope
from tests import servers
from tests.imgsvc.sites import JPEG, KEY, PHOTO, Site, bearer, closed_site, local_site

FOREIGN = {"Origin": "https://evil.example"}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    with local_site(tmp_path_factory.mktemp("local"), http) as site:
        yield site


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    with closed_site(tmp_path_factory.mktemp("closed"), http) as site:
        yield site


def requests(image_id: str) -> list[tuple[str, str, Scope | None]]:
    """One request per route, and the scope that it requires."""
    return [
        ("GET", f"/v1/images/{image_id}", None),
        ("HEAD", f"/v1/images/{image_id}", None),
        ("GET", f"/image/{image_id}.png?thumb=20", None),
        ("GET", f"/v1/images/{image_id}?thumb=20", None),
        ("GET", f"/v1/transform?image_id={image_id}&thumb=20", None),
        ("GET", f"/v1/images/{image_id}/info", Scope.METADATA),
        ("GET", "/v1/images", Scope.LIST),
        ("HEAD", "/images?limit=1", Scope.LIST),
        ("POST", "/v1/images", Scope.UPLOAD),
        ("POST", "/image", Scope.UPLOAD),
        ("POST", "/v1/transform?thumb=20", Scope.READ),
        ("GET", "/v1/keys", Scope.ADMIN),
        ("DELETE", f"/v1/images/{image_id}", Scope.DELETE),
    ]


async def status(site: Site, method: str, path: str, headers: dict[str, str]) -> int:
    body = PHOTO if method == "POST" else None
    return (await site.request(method, path, {**JPEG, **headers} if body else headers, body))[0]


async def test_on_this_machine_nobody_needs_a_key(local: Site) -> None:
    for method, path, scope in requests(await local.upload()):
        # A key that anybody could make would outlast the time when nobody needed one.
        expected = {401} if scope is Scope.ADMIN else {200, 201, 204}
        assert await status(local, method, path, {}) in expected, path
    admin = local.new_key("admin")
    assert await status(local, "GET", "/v1/keys", bearer(admin)) == 200
    assert not KEY.search(local.log.read_text()), "there is nothing to show"


async def test_pages_of_other_origins_may_only_show_pictures(local: Site) -> None:
    image_id = await local.upload()
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example", "file://"):
        for method, path, scope in requests(image_id):
            expected = {403} if scope else {200}
            assert await status(local, method, path, {"Origin": origin}) in expected, (origin, path)
    own = {"Origin": local.url}
    assert await status(local, "DELETE", f"/v1/images/{image_id}", own) == 204


async def test_a_host_name_that_leads_here_by_chance_is_refused(local: Site) -> None:
    image_id = await local.upload()
    port = local.url.rpartition(":")[2]
    for name in (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "0.0.0.0",
        "127.0.0.1@evil.example",
    ):
        for method, path, _ in requests(image_id):
            assert await status(local, method, path, {"Host": f"{name}:{port}"}) in {400, 403}, (name, path)
    for name in ("localhost", "LOCALHOST", "app.localhost", "localhost.", "127.0.0.2", "[::1]", "127.0.0.1"):
        for host in (name, f"{name}:{port}"):
            assert await status(local, "GET", "/v1/images?limit=1", {"Host": host}) == 200, host
    assert await status(local, "GET", "/healthz", {"Host": "evil.example"}) == 200, "orchestrators use addresses"


async def test_without_a_key_there_are_only_pictures(closed: Site) -> None:
    for method, path, scope in requests(await closed.upload(bearer(closed.key))):
        assert await status(closed, method, path, {}) == (401 if scope else 200), path
    async with closed.http.get(f"{closed.url}/v1/images") as response:
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="imgsvc"'
        assert "scope `list`" in (await response.json())["detail"]


async def test_a_key_may_do_what_its_scopes_say_and_nothing_else(closed: Site) -> None:
    image_id = await closed.upload(bearer(closed.key))
    for own in Scope:
        key = closed.new_key(own)
        for method, path, scope in requests(image_id):
            if method == "DELETE" and own in {Scope.DELETE, Scope.ADMIN}:
                continue
            allowed = scope in {None, own} or own is Scope.ADMIN
            expected = {200, 201} if allowed else {403}
            assert await status(closed, method, path, bearer(key)) in expected, (own, method, path)
    both = closed.new_key("delete", "list")
    assert await status(closed, "GET", "/v1/images", bearer(both)) == 200
    assert await status(closed, "DELETE", f"/v1/images/{image_id}", bearer(both)) == 204


async def test_tools_may_send_a_key_as_a_password(closed: Site) -> None:
    for login in (f"key:{closed.key}", f"{closed.key}:"):
        basic = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
        assert await status(closed, "GET", "/v1/images", basic) == 200


def wrong(key: str) -> Iterator[str]:
    yield from (key[:-1], key + "A", key.upper(), key[:16] + "A" * 43, "ik_" + "0" * 12 + key[15:], "ik__", "x", "é")
    for place in range(len(key)):
        yield key[:place] + ("A" if key[place] != "A" else "B") + key[place + 1 :]


async def test_a_key_with_any_fault_is_refused_and_never_an_error(closed: Site) -> None:
    for key in wrong(closed.key):
        async with closed.from_elsewhere() as site:
            code, text = await site.request("GET", "/v1/images", bearer(key))
        assert code == 403, key
        assert json.loads(text)["detail"] == "the key is not valid; check that all of it was copied", (
            "never which part is right"
        )
    for header in (
        "",
        "Bearer",
        "Basic",
        "Basic !",
        "Basic /w==",
        "Digest a",
        f"Bearer{closed.key}",
        "Bearer " + "a" * 5000,
    ):
        async with closed.from_elsewhere() as site:
            code, _ = await site.request("GET", "/v1/images", {"Authorization": header})
        assert code == 403, header


async def test_the_time_of_a_refusal_says_nothing(closed: Site) -> None:
    """Whether the ID is right, the ID and half of the secret, or nothing: the times have the same distribution."""
    kinds = {
        "all but the end": lambda number: f"{closed.key[:-4]}{number:04}",
        "the ID": lambda number: f"{closed.key[:16]}{number:043}",
        "nothing": lambda number: f"ik_{number:012x}_{number:043}",
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(60):
        async with closed.from_elsewhere() as site:
            await site.request("GET", "/healthz")  # connects
            for kind in random.sample([*kinds], len(kinds)):
                started = time.perf_counter()
                assert (await site.request("GET", "/v1/images", bearer(kinds[kind](number))))[0] == 403
                times[kind].append(time.perf_counter() - started)
    assert min(map(min, times.values())) > 0.045, "0.05 s, which a loop rounds; finding a key takes much less"
    for one, other in itertools.combinations(times.values(), 2):
        assert rank_difference(one, other) < 4, "in standard deviations: no more than chance explains"


def rank_difference(one: Sequence[float], other: Sequence[float]) -> float:
    """How much two samples differ by the test of Mann and Whitney, in standard deviations of chance."""
    number = len(one) * len(other)
    larger = sum((x > y) + (x == y) / 2 for x in one for y in other)
    return abs(larger - number / 2) / math.sqrt(number * (len(one) + len(other) + 1) / 12)


async def test_a_revoked_key_is_refused_within_five_seconds(closed: Site) -> None:
    key = closed.new_key("list")
    assert await status(closed, "GET", "/v1/images", bearer(key)) == 200
    assert f"revoked {key[3:15]}" in closed.keys("revoke", key[3:15])
    revoked = time.monotonic()
    while await status(closed, "GET", "/v1/images", bearer(key)) == 200:
        assert time.monotonic() - revoked < 5
    code, text = await closed.request("GET", "/v1/images", bearer(key))
    assert (code, json.loads(text)["detail"]) == (403, "the key was revoked; ask for a new one")
    assert "there is no key" in closed.keys("revoke", "0" * 12, code=1)


async def test_a_key_expires(closed: Site) -> None:
    key = closed.keys("create", "test", "--scope", "list", "--expires", "1s").splitlines()[0]
    while await status(closed, "GET", "/v1/images", bearer(key)) == 200:
        pass
    assert "the key expired at 20" in (await closed.request("GET", "/v1/images", bearer(key)))[1]


async def test_both_keys_work_during_a_rotation(closed: Site) -> None:
    old = closed.new_key("list")
    new = closed.keys("rotate", old[3:15], "--overlap", "1h").splitlines()[0]
    assert new != old
    for key in (old, new):
        assert await status(closed, "GET", "/v1/images", bearer(key)) == 200
    last = closed.keys("rotate", new[3:15], "--overlap", "0s").splitlines()[0]
    while await status(closed, "GET", "/v1/images", bearer(new)) == 200:
        pass
    assert await status(closed, "GET", "/v1/images", bearer(last)) == 200
    assert "that works" in closed.keys("rotate", new[3:15], code=1)


async def test_keys_can_be_managed_over_http(closed: Site) -> None:
    admin = {**bearer(closed.key), "Content-Type": "application/json"}
    wanted = {"name": "web shop", "scopes": ["list", "upload"], "expires_at": "2099-01-01T00:00:00Z"}
    code, text = await closed.request("POST", "/v1/keys", admin, json.dumps(wanted).encode())
    made = json.loads(text)
    assert code == 201
    assert await status(closed, "GET", "/v1/images", bearer(made["key"])) == 200
    code, text = await closed.request("GET", "/v1/keys", admin)
    (listed,) = (each for each in json.loads(text)["keys"] if each["key_id"] == made["key_id"])
    assert (listed["name"], listed["scopes"], listed["expires_at"]) == (
        "web shop",
        ["upload", "list"],
        "2099-01-01T00:00:00+00:00",
    )
    assert made["key"].rpartition("_")[2] not in text, "it is shown once"
    code, text = await closed.request("POST", f"/v1/keys/{made['key_id']}/rotate", admin, b'{"overlap_seconds": 60}')
    assert code == 201
    assert (await closed.request("DELETE", f"/v1/keys/{made['key_id']}", admin))[0] == 204
    for path in ("/v1/keys/" + "0" * 12, "/v1/keys/x"):
        assert (await closed.request("DELETE", path, admin))[0] == 404


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "name is missing"),
        (b"{", "the body is not JSON: "),
        (b"[]", "the body must be a JSON object"),
        (b'{"name": "a", "scopes": []}', "a key needs a scope"),
        (b'{"name": "a", "scopes": ["root"]}', "'root' is not a scope"),
        (b'{"name": "", "scopes": ["list"]}', "'' is not a name"),
        (b'{"name": "a", "scopes": ["list"], "expires_at": "2000-01-01T00:00:00Z"}', "the key would have expired"),
        (b'{"name": "a", "scopes": ["list"], "expires_at": "2099-01-01"}', "expires_at must be a moment"),
        (b'{"name": "a", "scopes": ["list"], "expires_at": "2099-01-01T00:00:00"}', "expires_at needs a time zone"),
        (b'{"name": "a", "scope": ["list"]}', "unknown field 'scope'; did you mean 'scopes'?"),
        (b'{"name": "a", "scopes": ["list"], "spac": "b"}', "unknown field 'spac'; did you mean 'space'?"),
        (b'{"name": "a", "scopes": ["list"], "expires": 1}', "unknown field 'expires'; did you mean 'expires_at'?"),
        (b'{"name": "a", "scopes": "list"}', "scopes must be a list"),
    ],
)
async def test_a_wrong_body_for_a_key_is_explained(closed: Site, body: bytes, text: str) -> None:
    admin = {**bearer(closed.key), "Content-Type": "application/json"}
    code, answer = await closed.request("POST", "/v1/keys", admin, body)
    assert code == 400
    assert json.loads(answer)["detail"].startswith(text)


async def test_the_database_and_the_log_hold_no_secret(closed: Site) -> None:
    key = closed.new_key("list")
    assert await status(closed, "GET", "/v1/images", bearer(key)) == 200
    assert await status(closed, "GET", "/v1/images", bearer(key + "x")) == 403
    secret = key[16:]
    with sqlite3.connect(closed.folder / "images.sqlite3") as database:
        dump = "\n".join(database.iterdump())
    assert key[3:15] in dump
    assert secret not in dump
    assert secret not in closed.log.read_text()
    assert secret not in closed.keys("list", "--json")


def test_mistakes_of_the_commands_are_explained(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with local_site(tmp_path, http) as site:
        for command, text in (
            (("keys", "create", "a", "--scope", "write"), "not one of 'read', 'upload'"),
            (
                ("keys", "create", "a", "--scope", "read", "--expires", "0d"),
                "'0d' is over at once; write a longer time",
            ),
            (("sign", "/v1/images/a.webp", "--expires", "0s"), "'0s' is over at once"),
            (("sign", "/v1/images/a/info"), "the URL is not one of a picture"),
            (("spaces", "set", "a", "--max-bytes", "much"), "'much' is not a size"),
        ):
            assert text in site.command(*command, code=2, SIGNING_SECRET=f"sk_0123456789ab_{'x' * 43}"), command
        assert "no entries match" in site.command("audit", "--key", "nobody")
        assert "acme may have: 1.0KiB, images any" in site.command("spaces", "set", "acme", "--max-bytes", "1KiB")


def test_the_first_key_is_shown_once(tmp_path: Path) -> None:
    for number in range(2):
        with servers.serve(tmp_path, HOST="0.0.0.0", AUTH="auto") as served:
            printed = served.log.read_text()
            assert len(set(KEY.findall(printed))) == (0 if number else 1)
            assert printed.count("  curl ") == 3, "examples are there once"
            assert printed.count("Bearer KEY") == (2 if number else 0)
            assert f"imgsvc upload photo.jpg --url {served.url}\n" in printed
            assert re.search(r"^Make others .*: \S.*imgsvc keys create --help$", printed, re.MULTILINE) or number


async def test_an_open_service_has_to_be_asked_for(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with servers.serve(tmp_path, HOST="0.0.0.0", AUTH="open") as served:
        site = Site(served.url.replace("0.0.0.0", "127.0.0.1"), tmp_path, served.log, http)
        for headers in ({}, FOREIGN, {"Host": "images.example.com"}):
            for method, path, scope in requests(await site.upload()):
                expected = {401} if scope is Scope.ADMIN else {200, 201, 204}
                assert await status(site, method, path, headers) in expected, path
        assert "AUTH=open: everybody who reaches the service may list, upload and delete" in served.log.read_text()


@pytest.mark.parametrize("variable", ["PUBLIC_URL", "ALLOWED_HOSTS"])
async def test_a_public_name_turns_keys_on(tmp_path: Path, http: aiohttp.ClientSession, variable: str) -> None:
    value = "https://images.example.com" if variable == "PUBLIC_URL" else '["Images.Example.com", "*.example.org"]'
    with servers.serve(tmp_path, AUTH="auto", **{variable: value}) as served:
        site = Site(served.url, tmp_path, served.log, http)
        assert await status(site, "GET", "/v1/images", {"Host": "images.example.com"}) == 401
        if variable == "ALLOWED_HOSTS":
            assert await status(site, "GET", "/v1/images", {"Host": "a.example.org"}) == 401
            assert await status(site, "GET", "/v1/images", {"Host": "example.org"}) == 403
            assert await status(site, "GET", "/v1/images", {"Host": "evil.example"}) == 403


async def test_allowed_origins_may_list_and_change(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with servers.serve(tmp_path, AUTH="auto", ALLOWED_ORIGINS='["https://app.example.com"]') as served:
        site = Site(served.url, tmp_path, served.log, http)
        image_id = await site.upload({"Origin": "https://app.example.com"})
        for method, path, scope in requests(image_id):
            assert await status(site, method, path, FOREIGN) == (403 if scope else 200)
            expected = {401} if scope is Scope.ADMIN else {200, 201, 204}
            assert await status(site, method, path, {"Origin": "https://app.example.com"}) in expected


@pytest.mark.parametrize("header", ["X-Forwarded-For", "x-forwarded-host", "Forwarded", "Via"])
async def test_behind_a_proxy_others_may_reach_this_machine(local: Site, header: str) -> None:
    image_id = await local.upload()
    for method, path, _ in requests(image_id):
        assert await status(local, method, path, {header: "192.0.2.1"}) == 403
    assert "set PUBLIC_URL" in (await local.request("GET", "/v1/images", {header: "192.0.2.1"}))[1]


async def test_browsers_may_ask_about_every_route(closed: Site) -> None:
    image_id = "0" * 32
    asked = {**FOREIGN, "Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    for path, methods in (
        ("/v1/images", "GET, HEAD, OPTIONS, POST"),
        (f"/v1/images/{image_id}", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        (f"/v1/images/{image_id}.webp?thumb=20", "GET, HEAD, OPTIONS"),
        (f"/v1/images/{image_id}/info", "GET, HEAD, OPTIONS"),
        ("/v1/transform?thumb=20", "GET, HEAD, OPTIONS, POST"),
        ("/v1/keys", "GET, HEAD, OPTIONS, POST"),
    ):
        async with closed.http.options(f"{closed.url}{path}", headers=asked) as response:
            assert (response.status, await response.read()) == (204, b""), path
            assert response.headers["Access-Control-Allow-Methods"] == methods
            assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert int(response.headers["Access-Control-Max-Age"]) >= 600
    assert (await closed.request("OPTIONS", "/v1/nothing"))[0] == 404


async def test_pictures_may_be_embedded_by_isolated_pages(closed: Site) -> None:
    image_id = await closed.upload(bearer(closed.key))
    for path in (f"/v1/images/{image_id}", f"/v1/images/{image_id}.webp", f"/v1/transform?image_id={image_id}&thumb=9"):
        async with closed.http.get(f"{closed.url}{path}", headers=FOREIGN) as response:
            assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert "ETag" in response.headers["Access-Control-Expose-Headers"]
