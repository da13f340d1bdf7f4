"""Usage: hits through Varnish at full speed, with and without their count, and whether all of them were counted."""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pyvips

from measuring.figures import Figure, at_least, at_most, extremes
from measuring.wrk import wrk
from tests import edge

_PATH = ".webp?rotate=90&thumb=300&blur=2&compress=75"


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--rounds", type=int, default=7, help="rounds, each with both (default: 7)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds per measurement (default: 4)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The ratio of hits per second, round by round, and the share of requests that were counted."""
    rates: dict[str, list[float]] = {"counted": [], "not counted": []}
    with ExitStack() as stack:
        urls, folders = {}, {}
        for name, environment in (("counted", {}), ("not counted", {"USAGE_URL": ""})):
            folder = folders[name] = stack.enter_context(_folder())
            running = stack.enter_context(edge.started(folder, AUTH="open", **environment))
            urls[name] = f"{running.url('varnish')}/v1/images/{await _uploaded(running.url('varnish'))}{_PATH}"
        sent = 0
        for number in range(chosen.rounds):
            for name in urls if number % 2 else reversed(urls):
                found = wrk(urls[name], chosen.seconds)
                rates[name].append(found.rate)
                sent += found.requests if name == "counted" else 0
                print(f"  round {number + 1}  {name:11} {rates[name][-1]:9.0f} hits/s", flush=True)
        counted = await _counted(folders["counted"], sent)
    ratios = [a / b for a, b in zip(rates["counted"], rates["not counted"], strict=True)]
    return [
        *(
            Figure(f"hits per second, {name}, median", f"{statistics.median(found):,.0f}")
            for name, found in rates.items()
        ),
        at_least("hits that are counted / that are not", statistics.median(ratios), 0.98, "", extremes(ratios)),
        Figure("requests that wrk has sent", f"{sent:,}"),
        at_most("error of the count", abs(counted - sent) / sent * 100, 0.1, " %"),
    ]


async def _uploaded(url: str) -> str:
    photo = pyvips.Image.gaussnoise(600, 400, mean=128, sigma=20).cast("uchar").jpegsave_buffer()
    async with aiohttp.ClientSession() as http:
        headers = {"Content-Type": "image/jpeg"}
        async with http.post(f"{url}/v1/images", data=photo, headers=headers) as answer:
            assert answer.status == HTTPStatus.CREATED, await answer.text()
            image_id = str((await answer.json())["image_id"])
        async with http.get(f"{url}/v1/images/{image_id}{_PATH}") as answer:
            await answer.read()
    return image_id


async def _counted(folder: Path, expected: int) -> int:
    """The requests in the report, once there are enough, or none were added for a while."""
    end, last = time.monotonic() + 30, -1
    while time.monotonic() < end:
        found = _report(folder)
        if found > last:
            end, last = time.monotonic() + 30, found
        if found >= expected:
            break
        await asyncio.sleep(1)
    return last


def _report(folder: Path) -> int:
    command = [sys.executable, "-m", "imgsvc", "usage", "--json"]
    printed = subprocess.run(command, env={"DATA_DIR": str(folder / "data")}, capture_output=True, check=True)
    return int(json.loads(printed.stdout)["requests"])


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="imgsvc-usage-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
