"""What work in the background costs requests: uploads while levels are made, and renders during a backfill."""

import argparse
import asyncio
import hashlib
import itertools
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.levels.systems import Levelled, await_files
from benchmarks.photos import distinct, of_size
from benchmarks.systems.base import SystemFailed
from benchmarks.systems.ours import Ours
from measuring.client import Client
from measuring.figures import Figure, at_most, extremes
from measuring.percentiles import percentile
from measuring.photos import size

_CHAINS = ("webp?sharpen=2&thumb=301", "webp?sharpen=2&thumb=302", "webp?sharpen=2&thumb=303")
"""One per round. They need the original, so that a backfill takes longer than a round."""
_MEGAPIXELS, _PHOTOS, _UNUSED = 6, 12, 500_000
_BEGIN_SECONDS, _POLL_SECONDS = 60, 0.05
_CORES = "2"
"""PRECOMPUTE_CPU: all that there are."""


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--uploads", type=int, default=100, help="uploads with levels and without (default: 100)")
    parser.add_argument("--images", type=int, default=300, help="images of the backfill (default: 300)")
    parser.add_argument("--rate", type=float, default=20, help="renders per second (default: 20)")
    parser.add_argument("--seconds", type=float, default=10, help="seconds of each measurement (default: 10)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The ratio of the medians of uploads, and that of the p99 of renders."""
    levelled, without = Levelled(PRECOMPUTE_CPU=_CORES, VARIANT_BYTES="10GiB"), Ours(name="without levels")
    photos = of_size(_MEGAPIXELS, ["jpg"], _PHOTOS)
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsvc-levels-"))) for _ in range(2)]
        for system, folder in zip((levelled, without), folders, strict=True):
            stack.enter_context(system.started(folder))
        async with Client(levelled.urls[0]) as client, Client(without.urls[0]) as other:
            uploads = await _uploads(client, other, distinct(photos, 2 * chosen.uploads))
            print(f"uploading {chosen.images} images", flush=True)
            bodies = [*distinct(photos, chosen.images, _UNUSED)]
            images = [await client.upload(body) for body in bodies]
            print("waiting for their levels", flush=True)
            await_files(path for n, body in enumerate(bodies) for path in _levels(levelled, photos[n % _PHOTOS], body))
            return [uploads, await _backfills(client, images, folders[0] / "data", chosen)]


async def _uploads(client: Client, other: Client, bodies: Iterator[bytes]) -> Figure:
    """One upload to each service, in turn. The levels of the first are made while the next upload arrives."""
    print("uploads", flush=True)
    seconds: dict[Client, list[float]] = {client: [], other: []}
    for number, body in enumerate(bodies):
        each = client if number % 2 else other
        started = time.perf_counter()
        await each.upload(body)
        seconds[each].append(time.perf_counter() - started)
    with_levels, alone = (statistics.median(values) * 1000 for values in seconds.values())
    spread = f"{with_levels:.1f} and {alone:.1f} ms"
    return at_most("upload, median: with levels / without", with_levels / alone, 1.15, "", spread)


def _levels(levelled: Levelled, photo: Path, body: bytes) -> list[Path]:
    return levelled.files_of(hashlib.sha256(body).hexdigest(), max(size(photo)))


async def _backfills(client: Client, images: list[str], data: Path, chosen: argparse.Namespace) -> Figure:
    ratios, said = [], []
    chance = random.Random(17)  # noqa: S311
    for chain in _CHAINS:
        quiet = await _p99(client, _requests(images, chance, chosen), chosen.rate)
        _command(data, "precompute", "add", chain)
        begun = await _begun(data)
        busy = await _p99(client, _requests(images, chance, chosen), chosen.rate)
        made = _stored(data) - begun
        _command(data, "precompute", "remove", chain)
        if not 0 < made < chosen.images - begun:
            raise SystemFailed(f"the backfill made {made} variants, and none or all are too few; use other --images")
        rate = made / chosen.seconds
        ratios.append(busy / quiet)
        said.append(f"{quiet:.0f} ms, and {busy:.0f} ms while a backfill renders {rate:.1f} variants per second")
        print(f"  p99 {said[-1]}", flush=True)
    name = f"renders, {chosen.rate:g} per second, p99: during a backfill / before"
    return at_most(name, statistics.median(ratios), 1.3, "", f"{extremes(ratios)}; {said[-1]}")


def _requests(images: list[str], chance: random.Random, chosen: argparse.Namespace) -> list[str]:
    """Variants that nobody has requested before."""
    count = int(chosen.rate * chosen.seconds)
    chains = [f"thumb={chance.randrange(100, 320)}&blur={chance.random():.3f}" for _ in range(count)]
    return [f"{chance.choice(images)}.jpg?{chain}" for chain in chains]


async def _p99(client: Client, paths: list[str], rate: float) -> float:
    """In milliseconds. Raises SystemFailed for an answer that is not right."""
    answers = await client.steady(paths, rate)
    for answer in answers:
        if not answer.ok:
            raise SystemFailed(f"a render failed: {answer}")
    return percentile([answer.ms for answer in answers], 0.99)


async def _begun(data: Path) -> int:
    """Wait until a backfill stores variants. Returns how many are stored then. Raises SystemFailed after a minute."""
    before, started = _stored(data), time.perf_counter()
    for _ in itertools.count():
        if (stored := _stored(data)) > before:
            return stored
        if time.perf_counter() - started > _BEGIN_SECONDS:
            raise SystemFailed("the backfill did not begin")
        await asyncio.sleep(_POLL_SECONDS)
    raise AssertionError


def _stored(data: Path) -> int:
    return sum(path.is_file() for path in (data / "blobs" / "variants").rglob("*"))


def _command(data: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "imgsvc", *arguments]
    subprocess.run(command, env={"DATA_DIR": str(data)}, capture_output=True, check=True)
