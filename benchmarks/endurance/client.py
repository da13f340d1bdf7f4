"""The load client: so many clients that wait for their answers, or so many requests a second whatever is answered.

It runs in the process of the benchmark, and the service in others. aiohttp takes 0.3 to 0.5 ms a request.
"""

import asyncio
import io
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

_ANSWER_SECONDS = 90
_CREATED = 201
OK, BUSY = 200, 503


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request; the body was read to its end."""

    path: str
    status: int
    """0 where there was none."""
    started: float
    """Seconds on the clock of time.perf_counter; of an open loop: when it was due."""
    seconds: float
    content_type: str = ""
    retry_after: str = ""
    said: str = ""
    """The body of an error, why there was no answer, or the Server-Timing of a good one."""

    @property
    def ended(self) -> float:
        """On the clock of time.perf_counter."""
        return self.started + self.seconds


class CannotUpload(Exception):
    """The service took no photo."""


class Client:
    """Connections to one service, at most `connections` of them."""

    def __init__(self, url: str, connections: int = 1000) -> None:
        self._url = url
        self._connections = connections

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        connector = aiohttp.TCPConnector(limit=self._connections)
        self._session = aiohttp.ClientSession(self._url, timeout=timeout, connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def upload(self, body: bytes) -> str:
        """Store a file, and return the path of its image."""
        headers = {"Content-Type": "image/*"}
        async with self._session.post("/v1/images", data=io.BytesIO(body), headers=headers) as answer:
            if answer.status != _CREATED:
                raise CannotUpload(f"{answer.status}: {await answer.text()}")
            return f"/v1/images/{(await answer.json())['image_id']}"

    async def ask(self, path: str, due: float | None = None) -> Answer:
        """One GET, however it ends."""
        started = time.perf_counter() if due is None else due
        try:
            async with self._session.get(path) as answer:
                body = await answer.read()
                return Answer(
                    path,
                    answer.status,
                    started,
                    time.perf_counter() - started,
                    answer.content_type,
                    answer.headers.get("Retry-After", ""),
                    answer.headers.get("Server-Timing", "") if answer.status == OK else body.decode(errors="replace"),
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            return Answer(path, 0, started, time.perf_counter() - started, said=repr(error))

    async def closed(
        self, paths: Iterable[str], clients: int, seen: Callable[[Answer], None] = lambda _: None
    ) -> list[Answer]:
        """Each client has one request under way, until the paths end; `seen` is told of each answer at once."""
        left = iter(paths)
        answers = []

        async def client() -> None:
            for path in left:
                answer = await self.ask(path)
                answers.append(answer)
                seen(answer)

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
        return answers

    async def steady(self, paths: Iterable[str], rate: float) -> list[Answer]:
        """`rate` requests a second, until the paths end. What is late counts from when it was due."""
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, path in enumerate(paths):
                due = begun + number / rate
                await asyncio.sleep(due - time.perf_counter())
                tasks.append(group.create_task(self.ask(path, due)))
        return [task.result() for task in tasks]


def lasting(paths: Iterable[str], seconds: float) -> Iterator[str]:
    """These paths, for as long."""
    end = time.perf_counter() + seconds
    for path in paths:
        if time.perf_counter() >= end:
            return
        yield path


def until(event: asyncio.Event, paths: Iterable[str]) -> Iterator[str]:
    """These paths, until something has happened."""
    for path in paths:
        if event.is_set():
            return
        yield path


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed; nan where there are none."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def by_status(answers: Iterable[Answer]) -> str:
    """How many of which status, for people."""
    counts = Counter(answer.status for answer in answers)
    return ", ".join(f"{count} x {status or 'no answer'}" for status, count in sorted(counts.items())) or "none"
