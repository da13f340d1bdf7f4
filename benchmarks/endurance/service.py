"""The service under test, started for one check, and what its processes hold."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests import servers
from tests.servers import Served

_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


@asynccontextmanager
async def started(prefix: tuple[str, ...] = (), module: str = "imgsvc", **environment: str) -> AsyncIterator[Served]:
    """`imgsvc serve`, or another module in its place, with its data in a folder that goes with it."""
    with (
        tempfile.TemporaryDirectory(prefix="imgsvc-endurance-") as folder,
        servers.serve(Path(folder), prefix, module, **{"LOG_LEVEL": "WARNING", **environment}) as service,
    ):
        yield service


def descriptors(service: Served) -> int:
    """Open files of all its processes."""
    total = 0
    for pid in service.tree():
        with suppress(*_GONE):
            total += len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # names alone, many times
    return total


async def renderers_again(service: Served, count: int, without: int = 0, seconds: float = 10) -> int:
    """Wait until there are so many renderers, `without` not counted, or for so many seconds; how many there are."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while _living(service, without) != count:  # noqa: ASYNC110  # another process's affair: nothing to await
                await asyncio.sleep(0.02)
    return _living(service, without)


def _living(service: Served, without: int) -> int:
    return len(set(service.renderers()) - {without})
