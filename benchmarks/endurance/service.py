"""The service under test, started for one check, and a client of it."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from measuring.client import Answer, Client, by_status
from measuring.figures import Figure, at_most
from measuring.servers import ROOT, Served, imgsvc

_SHOWN = 10


@asynccontextmanager
async def started(prefix: Sequence[str] = (), **environment: str) -> AsyncIterator[tuple[Served, Client]]:
    """Run `imgsvc serve` with its data in a temporary folder."""
    with (
        tempfile.TemporaryDirectory(prefix="imgsvc-endurance-") as folder,
        imgsvc(Path(folder), prefix, **environment) as service,
    ):
        async with Client(service.url) as client:
            yield service, client


def new_key(**environment: str) -> str:
    """A key that may do everything, for the service with these settings."""
    command = [sys.executable, "-m", "imgsvc", "keys", "create", "benchmark", "--scope", "admin"]
    variables = {**os.environ, **environment}
    return subprocess.check_output(command, env=variables, cwd=ROOT, text=True, stderr=subprocess.DEVNULL).split()[0]


async def uploaded(client: Client, bodies: Iterable[bytes]) -> list[str]:
    """Upload files; returns the paths of their images."""
    return [await client.upload(body) for body in bodies]


async def renderers_again(service: Served, count: int, without: int = 0, seconds: float = 10) -> int:
    """Wait until there are `count` renderers, `without` not counted, or until the time is over; returns how many."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while _living(service, without) != count:  # noqa: ASYNC110  # processes of another one: no event to await
                await asyncio.sleep(0.02)
    return _living(service, without)


def _living(service: Served, without: int) -> int:
    return len(set(service.renderers()) - {without})


def none_of(name: str, wrong: Sequence[Answer]) -> Figure:
    """A figure of answers that must not occur; prints the first ones."""
    for answer in wrong[:_SHOWN]:
        print(f"  {answer}")
    return at_most(name, len(wrong), 0, spread=by_status(wrong))
