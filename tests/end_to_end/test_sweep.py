"""Uploads and transforms of Pillow's own test files, many of them odd or broken: each request gets a proper response.

These are every second file, or all files with PHOTOS=all.
"""

import asyncio
import io
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from imaging.formats import by_extension, sniff
from tests import servers
from tests.packages import package

TRANSFORMS = ("?thumb=100", ".webp?rotate=90&thumb=64", ".png?blur=1&thumb=200", ".jpg?resize=50x50,cover")
_ACCEPTED, _REFUSED = 201, {413, 415, 422}
_AT_ONCE = 4
_MOST_SECONDS = 15
_LEAST_FILES = 1000


@dataclass(frozen=True)
class Outcome:
    """The outcome of one request."""

    what: str
    status: int
    seconds: float
    detail: str
    """The detail of an error; empty if the body is an image in the requested format."""


@dataclass
class Sweep:
    """The outcomes of all requests."""

    service: servers.Served
    uploads: list[Outcome] = field(default_factory=list)
    transforms: list[Outcome] = field(default_factory=list)
    again: list[tuple[Outcome, Outcome]] = field(default_factory=list)
    """The first and the second outcome of each broken file."""
    renderers: int = 0
    """The number of renderers before the sweep."""

    def summary(self) -> str:
        """The statuses, and the slowest requests."""
        counts = {name: Counter(a.status for a in getattr(self, name)) for name in ("uploads", "transforms")}
        slowest = sorted(self.uploads + self.transforms, key=lambda outcome: outcome.seconds)[-5:]
        return "\n".join(
            [
                *(f"{name}: {dict(sorted(found.items()))}" for name, found in counts.items()),
                *(f"{a.seconds:6.2f} s  {a.what}: {a.status}" for a in reversed(slowest)),
            ]
        )


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    under = "Tests/images/"
    images = package("pillow").files()
    found = {path.removeprefix(under): body for path, body in images if path.startswith(under)}
    assert len(found) >= _LEAST_FILES
    return found


@pytest.fixture(scope="module")
async def sweep(
    http: aiohttp.ClientSession, files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Sweep]:
    with servers.serve(tmp_path_factory.mktemp("sweep")) as service:
        done = Sweep(service, renderers=len(service.renderers()))

        async def visit(name: str, body: bytes) -> None:
            first, image_id = await _upload(http, service.url, name, body)
            done.uploads.append(first)
            if first.status == 422:
                done.again.append((first, (await _upload(http, service.url, name, body))[0]))
            for suffix in TRANSFORMS if image_id else ():
                url = f"{service.url}/v1/images/{image_id}{suffix}"
                first = await _transform(http, url, name + suffix)
                done.transforms.append(first)
                if first.status == 422:
                    done.again.append((first, await _transform(http, url, name + suffix)))

        await _some_at_a_time(
            visit, dict(islice(files.items(), 0, None, 1 if os.environ.get("PHOTOS") == "all" else 2))
        )
        print(f"\n{done.summary()}")
        yield done


async def _some_at_a_time(work: Callable[[str, bytes], Awaitable[None]], files: dict[str, bytes]) -> None:
    left = iter(files.items())

    async def client() -> None:
        for name, body in left:
            await work(name, body)

    async with asyncio.TaskGroup() as clients:
        for _ in range(_AT_ONCE):
            clients.create_task(client())


async def _upload(http: aiohttp.ClientSession, base: str, name: str, body: bytes) -> tuple[Outcome, str]:
    """The outcome, and the image ID; empty if the file was refused."""
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(body), filename=quote(name, safe=""))
    started = time.perf_counter()
    async with http.post(f"{base}/v1/images", data=form) as response:
        reply = await response.json(content_type=None)
    outcome = Outcome(f"upload of {name}", response.status, time.perf_counter() - started, reply.get("detail", ""))
    return outcome, str(reply.get("image_id", ""))


async def _transform(http: aiohttp.ClientSession, url: str, what: str) -> Outcome:
    started = time.perf_counter()
    async with http.get(url) as response:
        body = await response.read()
        detail = (
            _fault(response, url, body)
            if response.status == 200
            else (await response.json(content_type=None))["detail"]
        )
        return Outcome(what, response.status, time.perf_counter() - started, detail)


def _fault(response: aiohttp.ClientResponse, url: str, body: bytes) -> str:
    """What is wrong with a response that claims to be an image; empty if nothing is."""
    extension = url.partition("?")[0].rpartition("/")[2].partition(".")[2]
    found = sniff(body[:64])
    if found is None or response.content_type != found.media_type or (extension and found != by_extension(extension)):
        return f"{response.content_type} with a body of {found}"
    return ""


def _lines(outcomes: list[Outcome]) -> str:
    return "\n".join(f"{a.what}: {a.status} in {a.seconds:.1f} s: {a.detail}" for a in outcomes)


def test_every_upload_is_accepted_or_refused_with_a_reason(sweep: Sweep) -> None:
    odd = [a for a in sweep.uploads if a.status != _ACCEPTED and not (a.status in _REFUSED and a.detail)]
    assert not odd, _lines(odd)


def test_every_transform_is_an_image_or_an_error_with_a_reason(sweep: Sweep) -> None:
    """A crashed decoder causes a 503, but none of these files crashes one today."""
    odd = [a for a in sweep.transforms if (a.status, bool(a.detail)) not in {(200, False), (422, True)}]
    assert not odd, _lines(odd)


def test_a_broken_file_gets_the_same_status_again(sweep: Sweep) -> None:
    changed = [pair for pair in sweep.again if pair[0].status != pair[1].status]
    assert sweep.again, "no file is broken: are these the right files?"
    assert not changed, "\n".join(_lines(list(pair)) for pair in changed)


def test_no_request_takes_long(sweep: Sweep) -> None:
    slow = [a for a in sweep.uploads + sweep.transforms if a.seconds > _MOST_SECONDS]
    assert not slow, _lines(slow)


async def test_no_renderer_is_lost(sweep: Sweep) -> None:
    async with asyncio.timeout(10):
        while len(sweep.service.renderers()) != sweep.renderers:
            await asyncio.sleep(0.05)


def test_the_log_has_no_traceback(sweep: Sweep) -> None:
    log = sweep.service.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]


async def test_an_error_is_about_its_own_image(
    http: aiohttp.ClientSession, files: dict[str, bytes], tmp_path: Path
) -> None:
    with servers.serve(tmp_path, VALIDATORS="1", RENDERERS="1") as service:
        response, image_id = await _upload(
            http, service.url, "x", files["truncated_app14.jpg"]
        )  # decodes, with a warning
        assert response.status == _ACCEPTED
        url = f"{service.url}/v1/images/{image_id}.png?rotate=9"
        assert (await _transform(http, url, url)).status == 200
        response, _ = await _upload(http, service.url, "x", b"II*\0\x08\0\0\0" + bytes(6))  # an empty directory
        assert response.status == 422
        assert "tiff" in response.detail.lower(), response.detail
        assert "jpeg" not in response.detail.lower(), response.detail
