"""The purge hook: a CDN hears of every deletion, whatever happens meanwhile."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests import pictures
from tests.servers import ROOT, serve


class Cdn:
    """A CDN's API, which records requests and answers as told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str, str]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.url = ""
        self._received = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        """Record and answer."""
        sent = request.headers.get("Authorization", request.headers.get("Fastly-Key", ""))
        self.requests.append((request.method, request.path, await request.text(), sent))
        self._received.set()
        return web.Response(status=self.status, headers=self.headers)

    async def receive(self, number: int) -> None:
        """Wait for this number of requests, since the start."""
        async with asyncio.timeout(40):
            while len(self.requests) < number:
                self._received.clear()
                await self._received.wait()


@pytest.fixture
async def cdn() -> AsyncIterator[Cdn]:
    started = Cdn()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", started.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    started.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield started
    await runner.cleanup()


async def upload(http: aiohttp.ClientSession, url: str) -> str:
    async with http.post(f"{url}/v1/images", data=pictures.jpeg(), headers={"Content-Type": "image/jpeg"}) as answer:
        return str((await answer.json())["image_id"])


async def delete(http: aiohttp.ClientSession, url: str, image_id: str) -> None:
    async with http.delete(f"{url}/v1/images/{image_id}") as answer:
        assert answer.status == 204


def token(folder: Path) -> str:
    file = folder / "token"
    file.write_text("secret-of-the-cdn\n")
    return str(file)


async def test_a_deletion_reaches_the_cdn_at_once_and_after_the_caches(
    cdn: Cdn, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    settings = {"PURGE_HOOK_URL": f"{cdn.url}/zones/1/purge?id={{image_id}}", "PURGE_HOOK_BODY": '{"tags": ["{key}"]}'}
    with serve(tmp_path / "imgsvc", **settings, PURGE_HOOK_TOKEN_FILE=token(tmp_path)) as served:
        image_id = await upload(http, served.url)
        await delete(http, served.url, image_id)
        body = f'{{"tags": ["image-{image_id}"]}}'
        await cdn.receive(1)
        await cdn.receive(2)
        assert cdn.requests == [("POST", "/zones/1/purge", body, "Bearer secret-of-the-cdn")] * 2
        assert "secret-of-the-cdn" not in served.log.read_text()


async def test_a_cdn_that_is_down_hears_of_the_deletion_later_even_after_a_crash(
    cdn: Cdn, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    settings = {
        "PURGE_HOOK_URL": f"{cdn.url}/service/s/purge/{{key}}",
        "PURGE_HOOK_TOKEN_FILE": token(tmp_path),
        "PURGE_HOOK_TOKEN_HEADER": "Fastly-Key",
    }
    cdn.status = 503
    with serve(tmp_path / "imgsvc", **settings) as served:
        image_id = await upload(http, served.url)
        await delete(http, served.url, image_id)
        await cdn.receive(1)
        served.process.send_signal(signal.SIGKILL)
        served.process.wait()
    heard = len(cdn.requests)
    with serve(tmp_path / "imgsvc", **settings):
        await cdn.receive(heard + 2)
        cdn.status = 200
        await cdn.receive(heard + 3)
    assert set(cdn.requests) == {("POST", f"/service/s/purge/image-{image_id}", "", "secret-of-the-cdn")}


async def test_a_redirect_is_not_followed(cdn: Cdn, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    cdn.status, cdn.headers = 307, {"Location": "/elsewhere"}
    with serve(tmp_path / "imgsvc", PURGE_HOOK_URL=f"{cdn.url}/purge", PURGE_HOOK_METHOD="PURGE") as served:
        image_id = await upload(http, served.url)
        await delete(http, served.url, image_id)
        await cdn.receive(3)
        assert f"answered the purge of image {image_id} with 307" in served.log.read_text()
    assert {path for _, path, _, _ in cdn.requests} == {"/purge"}
    assert {method for method, _, _, _ in cdn.requests} == {"PURGE"}


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("PURGE_HOOK_URL", "https://{key}.example.com/", "write it as a URL with a fixed host"),
        ("PURGE_HOOK_URL", "https://user{image_id}@example.com/", "write it as a URL with a fixed host"),
        ("PURGE_HOOK_URL", "file:///etc/passwd", "write it as a URL with a fixed host"),
        ("PURGE_HOOK_BODY", "{key}", "write it as JSON"),
        ("PURGE_HOOK_TOKEN_HEADER", "X: y", "PURGE_HOOK_TOKEN_HEADER"),
        ("PURGE_HOOK_TOKEN_FILE", "/none", "cannot read PURGE_HOOK_TOKEN_FILE /none"),
    ],
)
def test_a_hook_that_cannot_work_stops_the_start(tmp_path: Path, setting: str, value: str, said: str) -> None:
    variables = {
        **os.environ, "PORT": "0", "DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT),
        "PURGE_HOOK_URL": "https://cdn.example.com/{key}", setting: value, "AUTH": "auto",
    }  # fmt: skip
    command = [sys.executable, "-m", "imgsvc", "serve"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
