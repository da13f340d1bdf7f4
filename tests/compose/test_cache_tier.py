"""The cache tier on several nodes: single renders, purges on every node, outages of services."""

import asyncio
import contextlib
import functools
import io
import itertools
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

import loadtests.stack
from loadtests import slow_disk
from tests import pictures
from tests.compose import stack
from tests.compose.load import Balancer, Hammer, is_200
from tests.compose.stack import Stack
from tests.docs.pages import the_block

LONG = bool(os.environ.get("LONG"))
"""Test with the durations and numbers that the docs promise (ten minutes), not with those for CI."""

NODES = {"varnish": 2, "nginx": 2, "transform": 2, "storage": 2}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Stack]:
    with stack.up(project="imgsvc-test-nodes", scale=NODES) as started:
        started.follow(
            the_block("docs/production.md", "--scale varnish=2"), {"10.0.0.7:8080-8082": started.environment["PUBLISH"]}
        )
        assert {service: len(started.containers(service)) for service in NODES} == NODES
        yield started


@pytest.fixture(scope="module")
def urls(nodes: Stack) -> list[str]:
    return nodes.urls()


async def upload(http: aiohttp.ClientSession, url: str, body: bytes) -> str:
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(body), filename="photo")
    async with http.post(f"{url}/v1/images", data=form) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["image_id"])


async def fetch(http: aiohttp.ClientSession, url: str, **options: object) -> tuple[int, bytes, aiohttp.ClientResponse]:
    async with http.get(url, **options) as answer:  # type: ignore[arg-type]
        return answer.status, await answer.read(), answer


async def test_a_thousand_clients_of_one_cold_url_cost_one_render(
    nodes: Stack, urls: list[str], http: aiohttp.ClientSession, photo_bytes: bytes
) -> None:
    image_id = await upload(http, urls[0], photo_bytes)
    before = nodes.counted("transform", "imgsvc_renders_total")
    path = f"/v1/images/{image_id}.webp?blur=3&thumb=900"
    answers = await asyncio.gather(*(fetch(http, f"{urls[number % 2]}{path}") for number in range(1000)))
    assert {status for status, _, _ in answers} == {200}
    assert len({body for _, body, _ in answers}) == 1
    assert nodes.counted("transform", "imgsvc_renders_total") - before == 1


async def test_no_node_renders_what_another_one_has_rendered(
    nodes: Stack, urls: list[str], http: aiohttp.ClientSession
) -> None:
    """Eight URLs that bypass Varnish's caches have the same plan, and therefore one result."""
    image_id = await upload(http, urls[0], bytes(pictures.noise(300, 200).pngsave_buffer()))
    before = nodes.counted("transform", "imgsvc_renders_total")
    turned = [f"rotate={90 * turns}" for turns in range(1, 33, 4)]
    answers = [await fetch(http, f"{urls[n % 2]}/v1/images/{image_id}.webp?{turn}") for n, turn in enumerate(turned)]
    assert len({body for _, body, _ in answers}) == 1
    assert nodes.counted("transform", "imgsvc_renders_total") - before == 1


async def test_precomputed_variants_refill_an_empty_cache_without_a_render(
    nodes: Stack, urls: list[str], http: aiohttp.ClientSession
) -> None:
    storage, chain = nodes.containers("storage")[0], "webp?thumb=123&blur=1.5"

    def precompute(*arguments: str) -> str:
        return nodes.docker("exec", storage, "python", "-m", "imgsvc", "precompute", *arguments)

    async def counted(query: str) -> int:
        psql = ("psql", "-qtA", "-U", "imgsvc", "-c", f"SELECT count({query}")
        return int(await asyncio.to_thread(nodes.docker, "exec", nodes.containers("postgres")[0], *psql))

    async def until(number: int) -> None:
        async with asyncio.timeout(60):
            while await counted(f"*) FROM variants WHERE about = '{chain}'") != number:
                await asyncio.sleep(0.5)

    first = await upload(http, urls[0], bytes(pictures.noise(302, 200).jpegsave_buffer()))
    await asyncio.to_thread(precompute, "add", f".{chain}")
    contents = await counted("DISTINCT sha256) FROM images WHERE deleted_at IS NULL")
    await until(contents)
    second = await upload(http, urls[1], bytes(pictures.noise(301, 200).jpegsave_buffer()))
    await until(contents + 1)
    before = nodes.counted("transform", "imgsvc_renders_total")
    for container in nodes.containers("varnish"):
        await asyncio.to_thread(nodes.docker, "restart", "-t", "30", container)
        await asyncio.to_thread(nodes.wait_healthy, container)
    for image_id in (first, second):
        for url in nodes.urls():
            status, body, answer = await fetch(http, f"{url}/v1/images/{image_id}.{chain}")
            assert (status, answer.headers["Content-Type"]) == (200, "image/webp")
            assert (answer.headers["X-Cache"], answer.headers["Cache-Status"]) == ("MISS", "imgsvc; hit")
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert not {"Last-Modified", "Usage", "Xkey"} & set(answer.headers)
            assert body[:4] == b"RIFF"
            cached = await fetch(http, f"{url}/v1/images/{image_id}.{chain}", headers={"Range": "bytes=0-3"})
            assert (cached[0], cached[1], cached[2].headers["X-Cache"]) == (206, b"RIFF", "HIT")
    assert nodes.counted("transform", "imgsvc_renders_total") == before
    async with http.delete(f"{urls[0]}/v1/images/{first}") as deleted:
        assert deleted.status == 204
    await until(contents)
    await asyncio.to_thread(precompute, "remove", chain)
    await until(0)


def spellings(url: str, image_id: str) -> list[str]:
    """URLs of variants of an image on one node, each in all its spellings."""
    variants = ["", ".webp", ".webp?thumb=50", "?rotate=90&thumb=60", ".jpg?thumb=70", ".auto?thumb=80"]
    paths = [f"{prefix}/{image_id}{v}" for v in variants for prefix in ("/v1/images", "/images", "/image")]
    return [url + path for path in (*paths, f"/v1/transform?image_id={image_id}&thumb=90")]


@pytest.mark.parametrize("paused", [False, True])
async def test_a_deleted_image_is_gone_everywhere(
    nodes: Stack, urls: list[str], http: aiohttp.ClientSession, paused: bool
) -> None:
    image_id = await upload(http, urls[0], bytes(pictures.noise(300, 200).jpegsave_buffer()))
    mark = await upload(http, urls[0], bytes(pictures.noise(30, 20).pngsave_buffer()))
    marked = await upload(http, urls[0], bytes(pictures.noise(310, 210).jpegsave_buffer()))
    known = [each for url in urls for each in spellings(url, image_id)]
    cold = [f"{url}/v1/images/{image_id}.webp?thumb=50&blur={n / 100}" for n in range(2000) for url in urls]
    asked = [each for pair in zip(itertools.cycle(known), cold, strict=False) for each in pair]
    deleted = time.monotonic() + 3600

    def gone(answer: aiohttp.ClientResponse, body: bytes) -> str | None:
        if answer.status == 410 or time.monotonic() < deleted + 1:
            return None
        return f"{answer.status} {time.monotonic() - deleted:.2f} s after the deletion: {body[:60]!r} {answer.headers}"

    away = nodes.containers("varnish")[1]
    async with Hammer(http, asked, 8).running(gone) as hammer:
        await hammer.more(len(known) * 6)
        if paused:
            await asyncio.to_thread(nodes.pause, away)
        async with http.delete(f"{urls[0]}/v1/images/{image_id}") as answer:
            assert answer.status == 204
            deleted = time.monotonic()
        if paused:
            await asyncio.to_thread(nodes.docker, "unpause", away)
            deleted = time.monotonic()
        while time.monotonic() < deleted + (60 if LONG else 6):
            await hammer.more(10)
    assert hammer.bad[:3] == []
    assert hammer.answers[200] > 0
    assert hammer.answers[410] > 100

    # No render in progress entered a cache after the purge. A hundred at a time, since nginx answers
    # more than its burst within one tick of its clock with 429, whatever the rate.
    for start in range(0, len(cold), 100):
        again = await asyncio.gather(*(fetch(http, url) for url in cold[start : start + 100]))
        assert {status for status, _, _ in again} == {410}

    # A variant with a watermark is gone with either image.
    path = f"/v1/images/{marked}.webp?thumb=200&watermark={mark}"
    assert [(await fetch(http, url + path))[0] for url in urls] == [200, 200]
    async with http.delete(f"{urls[0]}/v1/images/{mark}") as answer:
        assert answer.status == 204
    await asyncio.sleep(1)
    assert [(await fetch(http, url + path))[0] for url in urls] == [410, 410]


async def slow_headers(host: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    with contextlib.closing(writer):
        writer.write(b"GET /v1/images/healthcheck HTTP/1.1\r\nHost: x\r\n")
        for number in itertools.count():
            writer.write(f"X-{number}: y\r\n".encode())
            await writer.drain()
            await asyncio.sleep(0.5)
            if reader.at_eof():
                return


async def slow_body(host: str, port: int) -> None:
    _, writer = await asyncio.open_connection(host, port)
    with contextlib.closing(writer):
        writer.write(b"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n")
        writer.write(b"Content-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.5)


async def slow_read(host: str, port: int, path: str) -> None:
    reader, writer = await asyncio.open_connection(host, port, limit=1024)
    with contextlib.closing(writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while await reader.read(100):
            await asyncio.sleep(0.5)


async def for_ever(ask: Callable[[], Awaitable[None]]) -> None:
    while True:
        with contextlib.suppress(OSError):
            await ask()


async def test_slow_clients_do_not_affect_other_clients(
    urls: list[str], http: aiohttp.ClientSession, photo_bytes: bytes
) -> None:
    large = await upload(http, urls[0], photo_bytes)
    small = await upload(http, urls[0], bytes(pictures.noise(300, 200).jpegsave_buffer()))
    host, port = urlsplit(urls[0]).hostname or "", urlsplit(urls[0]).port or 0
    kinds = [
        functools.partial(slow_headers, host, port),
        functools.partial(slow_body, host, port),
        functools.partial(slow_read, host, port, f"/v1/images/{large}"),
        functools.partial(slow_read, host, port, f"/v1/images/{large}.png?thumb=900"),
    ]
    slow = [asyncio.create_task(for_ever(kinds[n % 4])) for n in range(1000 if LONG else 300)]
    try:
        asked = [f"{urls[0]}/v1/images/{small}{v}" for v in ("", "/info", *(f".webp?thumb={n}" for n in range(20, 60)))]
        end = time.monotonic() + (60 if LONG else 5)
        async with Hammer(http, asked, 4).running(is_200) as hammer:
            while time.monotonic() < end:
                await hammer.more(10)
    finally:
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
    assert len(hammer.bad) < hammer.total / 100, (hammer.answers, hammer.bad[:3])
    print(f"\nwith {len(slow)} slow clients: {hammer.total} responses, {len(hammer.bad)} failed")


async def test_no_request_fails_while_redis_is_down(nodes: Stack, urls: list[str], http: aiohttp.ClientSession) -> None:
    image_id = await upload(http, urls[0], bytes(pictures.noise(300, 200).jpegsave_buffer()))
    cold = [f"{urls[n % 2]}/v1/images/{image_id}.webp?thumb=50&blur={n / 1000}" for n in range(5000)]
    async with Hammer(http, cold, 4).running(is_200) as hammer:
        await hammer.more(50)
        await asyncio.to_thread(nodes.run, "kill", "redis")
        await hammer.more(50)
        await asyncio.to_thread(nodes.run, "start", "redis")
        await hammer.more(50)
        await asyncio.to_thread(nodes.run, "restart", "-t", "0", "redis")  # it forgets everything
        await hammer.more(50)
    assert hammer.bad[:3] == []


async def test_cached_responses_outlast_the_services_and_the_database(
    nodes: Stack, urls: list[str], http: aiohttp.ClientSession
) -> None:
    image_id = await upload(http, urls[0], bytes(pictures.noise(300, 200).jpegsave_buffer()))
    known = [f"{url}/v1/images/{image_id}{v}" for url in urls for v in ("", ".webp?thumb=50", ".png?thumb=60")]
    assert [(await fetch(http, url))[0] for url in known] == [200] * len(known)
    version = ("getrange", f"imgsvc:record:{image_id}", "0", "0")
    while not nodes.redis(*version).strip("\n"):  # Redis may have been down a moment ago
        await fetch(http, f"{urls[0]}/v1/images/{image_id}.webp?thumb=50&blur={time.time() % 250}")
    nodes.pause(nodes.containers("postgres")[0])
    try:
        async with Hammer(http, known, 4).running(is_200) as hammer:
            await hammer.more(200)
        assert hammer.bad[:3] == []
        # A new variant of an image in the record cache does not need the database.
        assert (await fetch(http, f"{urls[0]}/v1/images/{image_id}.webp?thumb=55"))[0] == 200
        status, body, answer = await fetch(http, f"{urls[0]}/v1/images/{image_id}/info")
        assert (status, answer.content_type) == (503, "application/problem+json"), body
    finally:
        nodes.run("unpause", "postgres")
    nodes.run("stop", "-t", "0", "transform")
    try:
        async with Hammer(http, known, 4).running(is_200) as hammer:
            await hammer.more(200)
        assert hammer.bad[:3] == []
        status, _, answer = await fetch(http, f"{urls[0]}/v1/images/{image_id}.webp?thumb=51")
        assert answer.content_type == "application/problem+json"
        assert status in {502, 503, 504}
    finally:
        nodes.run("start", "transform")
        nodes.wait()


@pytest.mark.parametrize("service", ["transform", "storage", "nginx"])
async def test_nodes_are_restarted_one_by_one_without_a_failed_request(
    nodes: Stack, urls: list[str], http: aiohttp.ClientSession, service: str
) -> None:
    image_id = await upload(http, urls[0], bytes(pictures.noise(300, 200).jpegsave_buffer()))
    variants = [f".webp?thumb={50 + n % 100}&blur={n / 100:.2f}" if n % 3 else "/info" for n in range(20_000)]
    asked = [f"{urls[n % 2]}/v1/images/{image_id}{variant}" for n, variant in enumerate(variants)]
    ended = asyncio.Event()

    async def upload_on() -> int:
        for number in itertools.count():
            if ended.is_set():
                return number
            await upload(http, urls[number % 2], b"".join([small, number.to_bytes(4)]))
        raise AssertionError

    small = bytes(pictures.noise(30, 20).pngsave_buffer())
    # An upload in the queue of a socket that closes has been sent, so nothing repeats it.
    if service == "storage":
        ended.set()
    uploads = asyncio.create_task(upload_on())
    async with Hammer(http, asked, 4).running(is_200) as hammer:
        for container in nodes.containers(service) * 10 if LONG else nodes.containers(service)[:1]:
            await hammer.more(20)
            await asyncio.to_thread(nodes.docker, "restart", container)
            await asyncio.to_thread(nodes.wait_healthy, container)
            await hammer.more(20)
    ended.set()
    assert hammer.bad[:3] == []
    assert await uploads > 10 or service == "storage"


async def test_every_request_is_counted_hits_included(
    nodes: Stack, urls: list[str], http: aiohttp.ClientSession
) -> None:
    image_id = await upload(http, urls[0], bytes(pictures.noise(300, 200).jpegsave_buffer()))
    number = 100_000 if LONG else 5000
    paths = itertools.cycle(
        [f"/v1/images/{image_id}.webp?thumb={100 + n}" for n in range(9)] + [f"/v1/images/{image_id}"]
    )
    asked = iter([f"{urls[n % 2]}{next(paths)}" for n in range(number)])

    async def client() -> None:
        for url in asked:
            assert (await fetch(http, url))[0] == 200

    await asyncio.gather(*(client() for _ in range(16)))
    # Other requests for `HEAD`, what does not exist and what is not a picture do not count.
    async with http.head(f"{urls[0]}/v1/images/{image_id}") as answer:
        assert answer.status == 200
    assert (await fetch(http, f"{urls[0]}/v1/images/{image_id}.webp?thumb=x"))[0] == 400
    storage = nodes.containers("storage")[0]

    def report() -> dict[str, Any]:
        printed = nodes.docker("exec", storage, "python", "-m", "storage_service.demand", "--json", "--limit", "1000")
        return dict(json.loads(printed))

    deadline = time.monotonic() + 60
    while True:
        found = await asyncio.to_thread(report)
        counted = {each["image_id"]: each["requests"] for each in found["images"]}.get(image_id, 0)
        if counted >= number or time.monotonic() > deadline:
            break
    assert counted == number
    chains = {each["chain"]: each for each in found["chains"]}
    first = chains["webp?thumb=100"]
    assert first["requests"] >= number / 10
    assert first["outcomes"]["hit"] > number / 10 - 20
    assert 1 <= first["renders"] <= 2


async def test_cache_nodes_are_restarted_one_by_one_behind_a_health_check(
    nodes: Stack, http: aiohttp.ClientSession
) -> None:
    image_id = await upload(http, nodes.urls()[0], bytes(pictures.noise(300, 200).jpegsave_buffer()))
    containers = nodes.containers("varnish")
    restarted = containers * 10 if LONG else containers[:1]
    nodes.scale_to("nginx", NODES["nginx"] + 1)  # every cache node notices, and loads a new VCL
    for container in containers:
        while not re.search("nginx is at (?:[0-9.:]+(?:, )?){3}\n", nodes.docker("logs", container)):
            await asyncio.sleep(0.1)
    paths = [f"/v1/images/{image_id}.webp?thumb={n}" for n in range(50, 59)]
    balancer = Balancer(http, dict(zip(containers, nodes.urls(), strict=True)))
    async with balancer.running(paths, clients=4):
        for container in restarted:
            await asyncio.to_thread(nodes.docker, "restart", "-t", "30", container)
            await asyncio.to_thread(nodes.wait_healthy, container)
            balancer.places[container] = nodes.url_of(container)
            await balancer.all_alive()
    nodes.scale_to("nginx", NODES["nginx"])
    assert balancer.failed[:3] == []
    assert balancer.left == set(restarted), "each failed its health check before it stopped"


@pytest.mark.skipif(not LONG, reason="it takes long; LONG=1 runs it")
def test_load_tests_can_slow_down_the_disk(nodes: Stack) -> None:
    (postgres,) = nodes.containers("postgres")
    own = loadtests.stack.Stack(nodes.url, "docker", (postgres,), nodes.project)
    slow_disk.slow(own)
    start = time.monotonic()
    nodes.docker("exec", postgres, "dd", "if=/dev/zero", "of=/var/lib/postgresql/data/slow", "count=6", "oflag=dsync")
    slowed = time.monotonic() - start
    slow_disk.mend(own)
    nodes.docker("exec", postgres, "rm", "/var/lib/postgresql/data/slow")
    assert slowed > 1, "six writes at four per second"
