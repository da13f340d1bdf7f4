"""Webhooks at `imgsvc serve`, with real receivers."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from measuring.servers import await_port, free_port
from tests.imgsvc.sites import KEY, Site, bearer, closed_site, local_site
from tests.receiver import Receiver
from tests.servers import ROOT, running, serve
from tests.storage_service.test_metadata import empty

LOOPBACK = {"WEBHOOK_ALLOWED_NETWORKS": '["127.0.0.0/8"]'}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    with closed_site(tmp_path_factory.mktemp("webhooks"), http, **LOOPBACK) as closed:
        yield closed


async def create(site: Site, url: str, **wanted: object) -> dict[str, Any]:
    status, made = await site.json("POST", "/v1/webhooks", site.key, {"url": url, **wanted})
    assert status == 201, made
    return made


async def test_a_receiver_is_told_what_happens_to_an_image(site: Site) -> None:
    async with Receiver().running() as receiver:
        made = await create(site, receiver.url)
        image_id = await site.upload(bearer(site.key), "?visibility=pending&title=Sea")
        path = f"/v1/images/{image_id}"
        _, details = await site.json("GET", f"{path}/info", site.key)
        await receiver.take(1)
        await site.json("PATCH", path, site.key, {"visibility": "public"})
        await receiver.take(2)
        await site.request("DELETE", path, bearer(site.key))
        events = [each.verified(made["secret"]) for each in await receiver.take(3)]
        assert (await site.json("DELETE", f"/v1/webhooks/{made['webhook_id']}", site.key))[0] == 204
    assert [event["type"] for event in events] == ["image.created", "image.released", "image.deleted"]
    first = events[0]["data"]["image"]
    assert {name: details[name] for name in first} == first
    assert first.keys() >= {"image_id", "url", "sha256", "title", "visibility"}


async def test_webhooks_are_managed_over_http(site: Site) -> None:
    async with Receiver().running() as receiver:
        made = await create(site, receiver.url, events=["image.created"], space="shop")
        path = f"/v1/webhooks/{made['webhook_id']}"
        assert re.fullmatch("whsec_[A-Za-z0-9+/]{43}=", made["secret"])
        _, listed = await site.json("GET", "/v1/webhooks", site.key)
        (shown,) = listed["webhooks"]  # type: ignore[misc]
        assert shown == {name: value for name, value in made.items() if name != "secret"}
        assert (shown["events"], shown["space"], shown["disabled_at"]) == (["image.created"], "shop", None)
        status, answer = await site.json("POST", f"{path}/test", site.key)
        assert (status, answer["delivered"], answer["status"], answer["reason"]) == (200, True, 204, "")
        assert receiver.received[0].verified(made["secret"])["type"] == "webhook.test"
        status, rotated = await site.json("POST", f"{path}/rotate", site.key, {"overlap_seconds": 60})
        assert (status, rotated["secret"] != made["secret"]) == (201, True)
        assert rotated["secret_overlap_until"]
        receiver.status, receiver.answer = 500, b"on fire"
        _, answer = await site.json("POST", f"{path}/test", site.key)
        assert (answer["delivered"], answer["status"], answer["answer"]) == (False, 500, "on fire")
    _, answer = await site.json("POST", f"{path}/test", site.key)
    assert answer["status"] is None
    assert re.fullmatch(r"127\.0\.0\.1:\d+ accepts no connection; check that .*", str(answer["reason"]))
    _, changed = await site.json("PATCH", path, site.key, {"enabled": False, "events": []})
    assert (changed["events"], changed["reason"]) == ([], "it was disabled by hand")
    _, changed = await site.json("PATCH", path, site.key, {"enabled": True})
    assert (changed["disabled_at"], changed["reason"]) == (None, "")
    nothing = {"failures": [], "waiting": 0, "waiting_reason": ""}
    assert await site.json("GET", f"{path}/failures", site.key) == (200, nothing)
    assert (await site.json("POST", f"{path}/failures/evt_x/retry", site.key))[0] == 404
    assert (await site.json("DELETE", path, site.key))[0] == 204
    assert (await site.json("DELETE", path, site.key))[0] == 404
    actions = site.command("audit", "--subject", made["webhook_id"])
    for action in ("webhook-create", "webhook-rotate", "webhook-change", "webhook-delete"):
        assert action in actions


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"url": "http://10.0.0.1/"}, "10.0.0.1 is not a public address; use another one"),
        ({"url": "http://169.254.169.254/x"}, "is not a public address"),
        ({"url": "shop.example.com"}, "is not the URL of a receiver; write it as https://host/path"),
        ({"url": "https://example.com/", "events": ["image.eaten"]}, "is not an event; use image.created, image"),
        ({"url": "https://example.com/", "space": "A B"}, "is not a name for a space"),
        ({"events": []}, "url is missing"),
    ],
)
async def test_a_wrong_webhook_is_explained(site: Site, body: dict[str, object], text: str) -> None:
    status, answer = await site.json("POST", "/v1/webhooks", site.key, body)
    assert status == 400
    assert text.lower() in str(answer["detail"]).lower()


async def test_only_administrators_manage_webhooks(site: Site) -> None:
    every_other = site.new_key("read", "upload", "list", "metadata", "delete", "sign", "moderate")
    ways = [("GET", ""), ("POST", ""), ("PATCH", "/x"), ("DELETE", "/x"), ("POST", "/x/test"), ("POST", "/x/rotate")]
    for method, rest in (*ways, ("GET", "/x/failures"), ("POST", "/x/failures/y/retry")):
        assert (await site.json(method, f"/v1/webhooks{rest}", every_other))[0] == 403
        assert (await site.json(method, f"/v1/webhooks{rest}"))[0] == 401


async def test_the_database_has_no_secret(site: Site) -> None:
    made = await create(site, "https://example.com/hook")
    secret = made["secret"].removeprefix("whsec_")
    for file in site.folder.glob("images.sqlite3*"):
        assert secret.encode() not in file.read_bytes()
    assert secret not in site.log.read_text()
    await site.json("DELETE", f"/v1/webhooks/{made['webhook_id']}", site.key)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_a_service_that_is_killed_loses_no_event(
    tmp_path: Path, http: aiohttp.ClientSession, database: str, request: pytest.FixtureRequest
) -> None:
    """The receiver is down, and then the service too."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environment = {"AUTH": "keys", **LOOPBACK}
    if database == "postgres":
        environment["DATABASE_URL"] = request.getfixturevalue("postgres_url")
        await empty(environment["DATABASE_URL"])
        secret = tmp_path / "secret"
        secret.write_text("0123456789" * 4)
        environment["ACCESS_SECRET_FILE"] = str(secret)
    with serve(tmp_path, **environment) as served:
        (key,) = set(KEY.findall(served.log.read_text()))
        site = Site(served.url, tmp_path / "data", served.log, http, key)
        made = await create(site, f"http://127.0.0.1:{port}/hook", events=["image.created"])
        images = {await site.upload(bearer(key)) for _ in range(5)}
        for pid in reversed(served.tree()):
            os.kill(pid, signal.SIGKILL)
    async with Receiver().running(port) as receiver:
        with serve(tmp_path, **environment):
            events = [each.verified(made["secret"]) for each in await receiver.take(5)]
    assert {event["data"]["image"]["image_id"] for event in events} == images


def test_the_command_manages_webhooks(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with local_site(tmp_path, http) as site:
        made = json.loads(
            site.command("webhooks", "create", "https://example.com/hook", "--event", "image.deleted", "--json")
        )
        webhook_id = made["webhook_id"]
        with closing(sqlite3.connect(site.folder / "images.sqlite3")) as database:
            database.execute(
                "INSERT INTO deliveries VALUES (?, 'evt_1', 'image.deleted', '{}', 0, 0, 0, 9, 0, 500, 'it broke', '')",
                [webhook_id],
            )
            database.commit()
        listed, failures, disabled, refused, enabled, rotated, deleted, unknown = commands(
            site, ["list"], *([name, webhook_id] for name in _OF_ONE)
        )
        assert re.search(rf"{webhook_id}  https://example.com/hook  image.deleted  all    works", listed)
        assert "evt_1  image.deleted  1970-01-01 00:00  9         it broke" in failures
        assert disabled.startswith(f"{webhook_id} disabled ")
        assert refused == f"imgsvc: the webhook {webhook_id} is disabled; enable it first\n2\n"
        assert enabled == f"{webhook_id} works\n0\n"
        assert "whsec_" in rotated
        assert made["secret"] not in rotated
        assert deleted == f"deleted {webhook_id}\n0\n"
        assert unknown.startswith(f"imgsvc: there is no webhook '{webhook_id}'")
        assert unknown.endswith("\n1\n")


_OF_ONE = ("failures", "disable", "retry", "enable", "rotate", "delete", "test")


def commands(site: Site, *each: list[str]) -> list[str]:
    """What `imgsvc webhooks` prints for each, with its exit code, in one process: starting one takes a second."""
    code = "import json, sys; from imgsvc.cli import main; sys.stderr = sys.stdout\n"
    code += "for each in json.loads(sys.argv[1]): print(main(['webhooks', *each]), end='\\n\\0')"
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(each)],
        cwd=ROOT, env={**os.environ, "DATA_DIR": str(site.folder)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split("\0")[:-1]


async def test_the_receiver_in_the_documentation_works(site: Site, tmp_path: Path) -> None:
    (code,) = re.findall("```python\n(.*?)```", (ROOT / "docs/events.md").read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 15
    (tmp_path / "receiver.py").write_text(code)
    port, log = free_port(), tmp_path / "receiver.log"
    made = await create(site, f"http://127.0.0.1:{port}/hooks", events=["image.created"])
    environment = {**os.environ, "WEBHOOK_SECRET": made["secret"], "PORT": str(port), "PYTHONUNBUFFERED": "1"}
    with running([sys.executable, "receiver.py"], log, cwd=tmp_path, env=environment) as process:
        await_port(port, process, log)
        _, answer = await site.json("POST", f"/v1/webhooks/{made['webhook_id']}/test", site.key)
        assert answer["delivered"], answer
        async with site.http.post(URL(f"http://127.0.0.1:{port}/hooks"), data=b"{}") as response:
            assert response.status == 500
    assert "webhook.test" in log.read_text()
    await site.json("DELETE", f"/v1/webhooks/{made['webhook_id']}", site.key)
