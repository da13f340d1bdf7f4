"""A site of the simulated day: the whole service in this process, with a cache in front, visitors and a clock."""

import asyncio
import random
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from aiohttp import web

from imgsvc import counting
from imgsvc.embedded import LOCATOR, create_app
from imgsvc.settings import ServeSettings
from measuring.zipf import Zipf
from service_kit.http.server import Runner, listen
from service_kit.usage import Outcome, header
from storage_service import jobs, usage
from storage_service.blobs import Blobs
from storage_service.http.jobs import JOBS
from storage_service.http.looks import LOOKS
from storage_service.http.receiving import SETTINGS
from storage_service.http.usage import PRECOMPUTED, USAGE
from storage_service.levels import Levels
from storage_service.precomputing import Precomputing
from storage_service.settings import StorageSettings
from storage_service.variants import Variants
from transform_service.settings import TransformSettings

_RARE = 0.02
"""The share of requests for chains that nobody else requests."""
_EXPONENT, _CLIENTS = 1.0, 4


class Site:
    """A service with a cache in front, and its visitors."""

    def __init__(self, app: web.Application, url: str, http: aiohttp.ClientSession, folder: Path) -> None:
        self.app = app
        self._url = url
        self._http = http
        self._folder = folder
        self._images: list[str] = []
        self._cache: OrderedDict[tuple[str, str], int] = OrderedDict()
        """Sizes of responses, used last at the end."""
        self.cached = 0
        self._chance = random.Random(17)  # noqa: S311
        self._known = 0.0
        metadata = app[USAGE]._metadata  # noqa: SLF001
        self._metadata = metadata
        limit = app[SETTINGS].variant_bytes
        self._variants = Variants(metadata, Blobs(f"file://{folder}/blobs"), limit)
        levels = Levels(metadata, Blobs(f"file://{folder}/blobs"), app[SETTINGS].level_bytes)
        self.precomputing = Precomputing(
            metadata,
            app[PRECOMPUTED],
            self._variants,
            app[JOBS],
            app[USAGE],
            looks=app[LOOKS],
            levels=levels,
            cores=1,
            automatic=True,
        )

    async def upload(self, body: bytes) -> None:
        """Store an image."""
        headers = {"Content-Type": "image/jpeg"}
        async with self._http.post(f"{self._url}/v1/images", data=body, headers=headers) as answer:
            self._images.append(str((await answer.json())["image_id"]))

    async def let_them_be_old(self) -> None:
        """Let all images have been uploaded a month ago."""
        await self._metadata.change("UPDATE images SET created_at = $1", datetime.now(UTC) - timedelta(days=30))

    async def visit(self, chains: tuple[str, ...], number: int) -> None:
        """Send so many requests, nearly all of them for these chains, and count them."""
        zipf = Zipf(len(self._images), _EXPONENT)
        wanted = iter([(self._images[zipf.pick(self._chance)], self._chain(chains)) for _ in range(number)])

        async def visitor() -> None:
            for image_id, chain in wanted:
                await self._request(image_id, chain)

        await asyncio.gather(*(visitor() for _ in range(_CLIENTS)))
        await counting.add(self.app)

    def _chain(self, popular: tuple[str, ...]) -> str:
        rare = self._chance.random() < _RARE
        return f"webp?thumb={self._chance.randrange(100, 900)}&blur=1" if rare else self._chance.choice(popular)

    async def _request(self, image_id: str, chain: str) -> None:
        if (size := self._cache.pop((image_id, chain), 0)) == 0:
            async with self._http.get(f"{self._url}/v1/images/{image_id}.{chain}") as answer:
                size = len(await answer.read())
                assert answer.status == 200, (chain, answer.status)  # noqa: PLR2004
        else:
            self.app[counting.TALLY].add(header(Outcome.HIT, 0, chain), image_id, size)
        self._cache[image_id, chain] = size
        if len(self._cache) > self.cached:
            self._cache.popitem(last=False)

    async def live_seconds(self) -> float:
        """Seconds of renders since the last call."""
        total = sum(chain.seconds for chain in await self.app[USAGE].chains(10_000))
        seconds, self._known = total - self._known, total
        return seconds

    async def jobs_done(self) -> bool:
        """Let the jobs be done that are due by the simulated time. Returns whether others will be."""
        due = "SELECT count(*) FROM jobs WHERE failed_at IS NULL AND due_at <= $1"
        while await self.precomputing.step() or (await self._metadata.fetch(due, jobs._now()))[0][0]:  # noqa: ASYNC110, SLF001
            await asyncio.sleep(0.02)
        return (await self.app[JOBS].waiting())[0] > 0

    def stored(self) -> tuple[int, int]:
        """The number and the bytes of stored variants."""
        sizes = [path.stat().st_size for path in (self._folder / "blobs" / "variants").rglob("*") if path.is_file()]
        return len(sizes), sum(sizes)

    async def delete_all(self) -> int:
        """Delete all images. Returns how many files of variants, and images in the top list, are left."""
        for image_id in self._images:
            async with self._http.delete(f"{self._url}/v1/images/{image_id}") as answer:
                assert answer.status == 204  # noqa: PLR2004
        return self.stored()[0] + len(await self.app[USAGE].images(10_000, 10))


@contextmanager
def clock() -> Iterator[list[float]]:
    """The time of usage and of jobs, which the simulation moves on."""
    now = [time.time() // 86_400 * 86_400]
    real = usage._now, jobs._now  # noqa: SLF001
    usage._now, jobs._now = lambda: now[0], lambda: int(now[0] * 1000)  # noqa: SLF001
    try:
        yield now
    finally:
        usage._now, jobs._now = real  # noqa: SLF001


@asynccontextmanager
async def service(megabytes: int) -> AsyncIterator[tuple[web.Application, str, Path]]:
    """The whole service in this process, with small caches of its own."""
    with tempfile.TemporaryDirectory(prefix="imgsvc-day-") as name:
        folder = Path(name)
        storage = StorageSettings(data_dir=folder, variant_bytes=megabytes * 10**6, auth="open")
        transform = TransformSettings(spool_dir=folder / "spool", result_cache_bytes=16 * 1024**2)
        app = create_app(ServeSettings(data_dir=folder), storage, transform)
        runner = Runner(app)
        await runner.setup()
        url = await listen(runner, "127.0.0.1", 0)
        app[LOCATOR].base_url = url
        yield app, url, folder
        runner.hurry()
        await runner.cleanup()
