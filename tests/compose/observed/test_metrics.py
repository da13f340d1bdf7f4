"""What Prometheus sees of the stack: all nodes, all metrics in use, and faults."""

import asyncio
import io
import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pyvips

from tests import pictures
from tests.compose.observed.conftest import NODES, Observed
from tests.compose.stack import Stack
from tests.observe.expressions import all_metrics, dashboard_queries

TARGETS = {**NODES, "storage": 1, "transform": 1, "jobs": 1}

STEADY = {
    "imgsvc_connections_ended_total": "no client stalls",
    "imgsvc_container_memory_limit_bytes": "a limit",
    "imgsvc_render_memory_limit_bytes": "a limit",
    "imgsvc_jobs_failed": "all photos are whole",
    "imgsvc_jobs_oldest_seconds": "a job is claimed at once",
    "imgsvc_jobs_paused": "there is room for levels",
    "imgsvc_jobs_waiting": "a job may be done between two scrapes",
    "imgsvc_webhook_oldest_seconds": "there are no webhooks",
    "imgsvc_webhook_failed": "there are no webhooks",
    "imgsvc_webhooks_disabled": "there are no webhooks",
    "imgsvc_webhook_deliveries_total": "there are no webhooks",
    "imgsvc_level_bytes": "levels are counted every ten minutes",
    "imgsvc_level_limit_bytes": "a limit",
    "imgsvc_variant_bytes": "variants are counted every ten minutes",
    "imgsvc_variant_limit_bytes": "a limit",
    "imgsvc_renderers": "a new one starts before the next scrape",
    "imgsvc_renderers_expected": "a setting",
    "imgsvc_result_cache_refused_total": "nobody else writes to Redis",
    "imgsvc_render_deadlines_total": "requests that would wait too long are refused earlier",
    "imgsvc_source_cache_bytes": "the originals are files",
    "imgsvc_source_cache_limit_bytes": "a limit",
    "imgsvc_source_cache_total": "the originals are files",
    "imgsvc_disk_bytes": "free space may stay the same",
    "imgsvc_disk_inodes": "the same",
    "imgsvc_purge_hooks_total": "no purge hook is configured",
    "nginx_up": "its status is there as long as nginx runs",
    "varnish_up": "its figures are there as long as varnishd runs",
    "varnish_main_cache_hit_grace": "responses are stale after an hour",
    "varnish_main_thread_queue_len": "there are 8,000 threads",
}
"""Metrics that a minute of traffic and faults may leave unchanged. All others have to change."""


async def until(what: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float) -> Any:
    """Call `what` until its value is as wanted, or the time is over, and return the last value."""
    deadline = time.monotonic() + seconds
    found = None
    while time.monotonic() < deadline:
        try:
            found = await asyncio.to_thread(what)
        except OSError:
            found = None  # it is starting
        if found is not None and wanted(found):
            break
        await asyncio.sleep(0.5)
    return found


async def test_prometheus_scrapes_every_node_of_every_service(observed: Observed) -> None:
    assert await until(observed.up, lambda found: found == TARGETS, 40) == TARGETS


async def test_no_public_path_leads_to_metrics(observed: Observed, http: aiohttp.ClientSession) -> None:
    url = observed.stack.urls()[0]
    for path in ("/metrics", "/status", "/stub_status", "/nginx/status", "/nginx/metrics", "/varnish/metrics"):
        async with http.get(url + path) as answer:
            assert answer.status == 404, path


EXPORTERS = "for p in /proc/[0-9]*; do case $(cat $p/comm) in prometheus-*) echo ${p#/proc/};; esac; done"


async def test_an_exporter_that_dies_restarts_and_affects_nothing_else(
    observed: Observed, http: aiohttp.ClientSession
) -> None:
    nodes = [observed.stack.containers(service)[0] for service in NODES]

    def exporters() -> list[str]:
        return [observed.stack.docker("exec", node, "sh", "-c", EXPORTERS).strip() for node in nodes]

    killed = exporters()
    for node, process in zip(nodes, killed, strict=True):
        observed.stack.docker("exec", node, "sh", "-c", f"kill -9 {process}")
    async with http.get(f"{observed.stack.urls()[0]}/v1/images/healthcheck") as answer:
        assert answer.status == 200

    def are_new(found: list[str]) -> bool:
        return all(process and process != before for process, before in zip(found, killed, strict=True))

    assert are_new(await until(exporters, are_new, 20))


class Traffic:
    """Everything that clients do, and more of it than the stack can handle."""

    def __init__(self, http: aiohttp.ClientSession, urls: list[str], photo: bytes) -> None:
        self._http = http
        self._urls = itertools.cycle(urls)
        self._photo = photo
        self._number = itertools.count()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send requests while the context lasts."""
        photo = await self.upload(self._photo)
        # 7 MB, for a cache of 2 MB.
        # Large enough for a level, and made by the first render, while there is no load.
        large = await self.upload(bytes(pyvips.Image.black(2400, 1600, bands=3).pngsave_buffer()))
        await self._get(f"/v1/images/{large}.webp?thumb=99")
        originals = [await self.upload(bytes(pictures.noise(500, 400).pngsave_buffer())) for _ in range(12)]
        kinds = [self._view(photo)] * 3 + [self._shrink(large), self._page(originals), self._revalidate(photo)]
        kinds += [self._burden(photo)] * 40 + [self._delete] * 2
        tasks = [asyncio.create_task(self._for_ever(kind)) for kind in kinds]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def upload(self, body: bytes) -> str:
        """Upload an image, and return its ID."""
        form = aiohttp.FormData()
        form.add_field("image", io.BytesIO(body), filename="photo")
        async with self._http.post(f"{next(self._urls)}/v1/images", data=form) as answer:
            return str((await answer.json())["image_id"])

    async def _for_ever(self, ask: Callable[[], Awaitable[None]]) -> None:
        while True:
            with suppress(aiohttp.ClientError, KeyError):  # services stop in the meantime
                await ask()
            await asyncio.sleep(0.05)

    async def _get(self, path: str, **headers: str) -> None:
        async with self._http.get(next(self._urls) + path, headers=headers) as answer:
            await answer.read()

    def _view(self, image: str) -> Callable[[], Awaitable[None]]:
        return lambda: self._get(f"/v1/images/{image}.webp?thumb={100 + next(self._number) % 20}")

    def _shrink(self, image: str) -> Callable[[], Awaitable[None]]:
        return lambda: self._get(f"/v1/images/{image}.webp?thumb=100&blur={1 + next(self._number) / 10_000}")

    def _page(self, images: list[str]) -> Callable[[], Awaitable[None]]:
        turn = itertools.cycle(images)
        return lambda: self._get(f"/v1/images/{next(turn)}")

    def _revalidate(self, image: str) -> Callable[[], Awaitable[None]]:
        # A miss in Varnish and a hit in Redis: a turn of 450 degrees has the same plan as one of 90.
        return lambda: self._get(
            f"/v1/images/{image}.webp?rotate={90 + 360 * (next(self._number) % 100)}&thumb=100",
            **({"If-None-Match": "*"} if next(self._number) % 2 else {}),
        )

    def _burden(self, image: str) -> Callable[[], Awaitable[None]]:
        async def burden() -> None:
            await self._get(f"/v1/images/{image}.png?thumb=900&blur={1 + next(self._number) / 10_000}")
            await asyncio.sleep(1)  # most are refused immediately

        return burden

    async def _delete(self) -> None:
        small = bytes(pictures.noise(300, 200).pngsave_buffer())
        image = await self.upload(small + next(self._number).to_bytes(8))
        await self._get(f"/v1/images/{image}")
        async with self._http.delete(f"{next(self._urls)}/v1/images/{image}") as answer:
            await answer.read()


KILL_RENDERERS = """
import contextlib, os, pathlib, re, signal, time, urllib.request

def ended():
    with urllib.request.urlopen("http://127.0.0.1:8082/metrics", timeout=10) as answer:
        ends = re.findall(r'imgsvc_renderer_ends_total{reason="(?:crash|killed)"} (\\S+)', answer.read().decode())
    return sum(map(float, ends))

def renderers():
    loaded, parents = set(), {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if "libvips" in (process / "maps").read_text():  # the fork server; nobody may read those of the renderers
                loaded.add(int(process.name))
    return {pid for pid, parent in parents.items() if parent in loaded}

# A renderer that is killed before it has started does not count, so ask the service how many ended.
last = time.monotonic() + 60
for enough in range(int(ended()) + 1, int(ended()) + 9):
    victim, again = None, 0.0
    while ended() < enough:
        assert time.monotonic() < last, "renderers are killed but not counted"
        if victim not in (there := renderers()) and there and time.monotonic() > again:
            victim, again = min(there), time.monotonic() + 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        time.sleep(0.05)
"""


TO_VARNISHD = (
    "for p in /proc/[0-9]*; do case $(cat $p/comm) in varnishd|cache-main) kill -{} ${{p#/proc/}};; esac; done"
)


async def faults(running: Stack) -> None:
    """Kill renderers one by one and an nginx node, and freeze a Varnish node and PostgreSQL for a while.

    Varnish freezes by a signal, since a container with hundreds of busy threads does not always pause.
    """

    async def docker(*arguments: str) -> None:
        await asyncio.to_thread(running.docker, *arguments)

    nginx, varnish = running.containers("nginx")[1], running.containers("varnish")[1]
    (transform,), (postgres,) = running.containers("transform"), running.containers("postgres")
    await docker("exec", transform, "python", "-c", KILL_RENDERERS)
    await docker("kill", nginx)
    await docker("exec", varnish, "sh", "-c", TO_VARNISHD.format("STOP"))
    await asyncio.sleep(8)
    await docker("start", nginx)
    await docker("exec", varnish, "sh", "-c", TO_VARNISHD.format("CONT"))
    await asyncio.to_thread(running.pause, postgres)
    await asyncio.sleep(4)
    await docker("unpause", postgres)


async def precompute(running: Stack, traffic: Traffic) -> None:
    """Have one variant made before anyone asks, and request it."""
    storage, chain = running.containers("storage")[0], "webp?thumb=77"

    def command(*arguments: str) -> str:
        return running.docker("exec", storage, "python", "-m", "imgsvc", "precompute", *arguments, "--json")

    await asyncio.to_thread(command, "add", chain)
    await traffic.upload(bytes(pictures.noise(320, 200).pngsave_buffer()))
    made = await until(lambda: json.loads(command("status"))["chains"][0]["variants"], bool, 40)
    assert made


async def test_every_metric_moves_every_panel_has_data_and_faults_raise_alerts(
    observed: Observed, http: aiohttp.ClientSession, photo_bytes: bytes
) -> None:
    assert set(STEADY) <= all_metrics()
    known = set(observed.ask("label/__name__/values")) | set(observed.ask("metadata"))
    families = {re.sub("_(total|bucket)$", "", name) for name in known} | known
    assert {name for name in all_metrics() if not {name, re.sub("_(total|bucket)$", "", name)} & families} == set()
    before = {name: sum(observed.values(f"sum({name})")) for name in all_metrics()}

    def still() -> set[str]:
        """Metrics that have not changed so far."""
        moved = (
            name
            for name in all_metrics() - set(STEADY)
            if sum(observed.values(f"sum({name})")) != before[name]
            or any(observed.values(f"max_over_time(sum({name})[3m:5s]) - min_over_time(sum({name})[3m:5s])"))
        )
        return all_metrics() - set(STEADY) - set(moved)

    def empty() -> set[tuple[str, str]]:
        """Queries of the dashboard without a result. The hit ratio of a cache that nobody uses has none."""
        queries = {each for each in dashboard_queries() if "imgsvc_source_cache_total" not in each[1]}
        return {(title, query) for title, query in queries if not observed.values(query)}

    traffic = Traffic(http, observed.stack.urls(), photo_bytes)
    await precompute(observed.stack, traffic)
    async with traffic.running():
        await asyncio.sleep(8)
        observed.stack.pause(observed.stack.containers("redis")[0])
        broken = asyncio.create_task(faults(observed.stack))
        # Pending, or already firing: here it takes 5 s, and not two minutes.
        assert await until(lambda: observed.states("RedisSilent"), lambda found: found & {"pending", "firing"}, 40)
        # Redis alone may be too slow under this load, so the alert does not say that a deletion has met the pause.
        assert await until(lambda: observed.values("imgsvc_purge_oldest_seconds > 0"), bool, 40)
        observed.stack.run("unpause", "redis")
        await broken
        assert "firing" in await until(
            lambda: observed.states("RenderersCrashing"), lambda found: "firing" in found, 40
        )
        assert await until(still, lambda found: not found, 20) == set()
        assert await until(empty, lambda found: not found, 20) == set()
