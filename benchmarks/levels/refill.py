"""A restart of Varnish under load, with precomputed variants: how fast hits return, and what is rendered.

Clients offer requests at a fixed rate, by Zipf's law, to Varnish, nginx and both services with the code of this
repository, each in processes of its own. In the middle, varnishd starts again with an empty cache.
"""

import argparse
import asyncio
import itertools
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp

from benchmarks.photos import distinct, of_size
from measuring.figures import Figure, at_least, at_most
from measuring.zipf import Zipf
from tests import edge

_CHAINS = ("webp?thumb=300", "jpg?thumb=640", "webp?resize=400x400,cover")
_EXPONENT, _PHOTOS, _CLIENTS = 1.0, 10, 64
_BEFORE, _AFTER, _JUDGED = 10, 30, 10
"""Seconds before and after the restart, and after how many of them the rate is judged."""


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--images", type=int, default=300, help="images, each with three variants (default: 300)")
    parser.add_argument("--rate", type=int, default=400, help="offered requests per second (default: 400)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The share of the offered requests that were answered in each second, and the renders."""
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        running = stack.enter_context(edge.started(folder, AUTH="open", PRECOMPUTE_CPU="8"))
        images = await _upload(running.url("nginx"), chosen.images)
        for chain in _CHAINS:
            _command(folder, "precompute", "add", chain)
        with edge.jobs(running):
            await _until_stored(folder, len(images) * len(_CHAINS))
        before = await _renders(running)
        load = _Load(running.url("varnish"), images, chosen.rate)
        task = asyncio.create_task(load.run(_BEFORE + _AFTER))
        await asyncio.sleep(_BEFORE)
        print("varnishd starts again", flush=True)
        restarted = time.monotonic()
        stack.enter_context(edge.varnish_restarted(running))
        await task
        rendered = await _renders(running) - before
    for second, (asked, answered, hits) in sorted(load.seconds.items()):
        print(f"  {second:3} s  {asked:5} asked  {answered:5} answered  {hits:5} hits", flush=True)
    late = int(restarted - load.started) + _JUDGED
    tail = [numbers for second, numbers in load.seconds.items() if second >= late]
    share = sum(answered for _, answered, _ in tail) / sum(asked for asked, _, _ in tail)
    return [
        at_least(f"answered, of what was offered, from {_JUDGED} s after the restart", share * 100, 95, " %"),
        at_most("renders of variants that are stored", rendered, 0),
        Figure("requests that failed while varnishd started", f"{load.failed}"),
    ]


class _Load:
    """Requests at a fixed rate, whether answers come or not."""

    def __init__(self, url: str, images: list[str], rate: int) -> None:
        self.started = 0.0
        self.failed = 0
        self.seconds: dict[int, list[int]] = {}
        """Requests, right answers and hits, by the second in which they were sent."""
        self._url = url
        self._images = images
        self._rate = rate
        self._zipf = Zipf(len(images), _EXPONENT)
        self._chance = random.Random(5)  # noqa: S311

    async def run(self, seconds: int) -> None:
        """Send requests for so long."""
        self.started = time.monotonic()
        connector = aiohttp.TCPConnector(limit=_CLIENTS)
        tasks = []
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(5)) as http:
            for number in range(seconds * self._rate):
                await asyncio.sleep(max(0.0, self.started + number / self._rate - time.monotonic()))
                tasks.append(asyncio.create_task(self._request(http)))
            await asyncio.gather(*tasks)

    async def _request(self, http: aiohttp.ClientSession) -> None:
        row = self.seconds.setdefault(int(time.monotonic() - self.started), [0, 0, 0])
        row[0] += 1
        image = self._images[self._zipf.pick(self._chance)]
        try:
            async with http.get(f"{self._url}/v1/images/{image}.{self._chance.choice(_CHAINS)}") as answer:
                await answer.read()
                row[1] += answer.status == 200  # noqa: PLR2004
                row[2] += answer.headers.get("X-Cache") == "HIT"
        except (aiohttp.ClientError, TimeoutError):
            self.failed += 1


async def _upload(url: str, number: int) -> list[str]:
    images = []
    async with aiohttp.ClientSession() as http:
        for body in distinct(of_size(1, ["jpg"], _PHOTOS), number):
            headers = {"Content-Type": "image/jpeg"}
            async with http.post(f"{url}/v1/images", data=body, headers=headers) as answer:
                images.append(str((await answer.json())["image_id"]))
    return images


async def _renders(running: edge.Edge) -> int:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{running.ports['transform']}/metrics") as answer,
    ):
        found = re.search(r"^imgsvc_renders_total (\S+)", await answer.text(), re.MULTILINE)
    return int(float(found[1])) if found else 0


async def _until_stored(folder: Path, number: int) -> None:
    for _ in itertools.count():
        report = json.loads(_command(folder, "precompute", "status", "--json"))
        stored = sum(each["variants"] for each in report["chains"])
        print(f"  {stored} of {number} variants are stored", flush=True)
        if stored >= number:
            return
        await asyncio.sleep(2)


def _command(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "imgsvc", *arguments]
    return subprocess.run(
        command, env={"DATA_DIR": str(folder / "data")}, capture_output=True, check=True, text=True
    ).stdout


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="imgsvc-refill-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
