"""The HTTP client of all measurements: clients that wait for answers, or a steady rate that does not wait.

It takes 0.1 to 0.3 ms of a core per request (aiohttp).
"""

import asyncio
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

import aiohttp
from yarl import URL

from measuring.servers import CannotStart

REFUSALS = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_SAID = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request got."""

    path: str
    status: int
    """0 without an answer."""
    started: float
    """On the clock of time.perf_counter; in a steady rate, when the request was due."""
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    """Empty for a 200, unless the client keeps bodies."""
    length: int = 0
    """Bytes of the body."""
    error: str = ""
    """Why there was no answer."""

    @property
    def ended(self) -> float:
        """On the clock of time.perf_counter."""
        return self.started + self.seconds

    @property
    def ok(self) -> bool:
        """Whether the status is 200."""
        return self.status == HTTPStatus.OK

    @property
    def refused(self) -> bool:
        """Whether the service said that it is too busy, and when to come back."""
        return is_refusal(self.status, self.headers)

    @property
    def ms(self) -> float:
        """The latency in milliseconds."""
        return self.seconds * 1000

    def __str__(self) -> str:
        said = self.error or self.body.decode(errors="replace") or self.headers.get("Server-Timing", "")
        return f"{self.path}: {self.status} after {self.ms:.0f} ms: {said[:_SAID]}"


def is_refusal(status: int, headers: Mapping[str, str]) -> bool:
    """Whether an answer is a clean refusal: 429 or 503 with Retry-After."""
    return status in REFUSALS and bool(headers.get("Retry-After"))


class Client:
    """Connections to one service, from a local `address`, with `headers`. `bodies`: keep those of good answers."""

    def __init__(
        self,
        url: str,
        connections: int = 1000,
        seconds: float = 90,
        *,
        bodies: bool = False,
        address: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._url, self._connections, self._seconds, self._bodies = url, connections, seconds, bodies
        self._address, self._headers = (address, 0) if address else None, headers

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(self._seconds),
            connector=aiohttp.TCPConnector(limit=self._connections, local_addr=self._address),
            headers=self._headers,
            skip_auto_headers=("Accept-Encoding",),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(self, path: str, method: str = "GET", due: float | None = None, **options: Any) -> Answer:
        """Send one request. Without an answer, `status` is 0 and `error` says why."""
        started = time.perf_counter() if due is None else due
        if isinstance(options.get("data"), bytes):
            options["data"] = io.BytesIO(options["data"])  # aiohttp sends it in parts
        try:
            url = URL(self._url + path, encoded=True)
            async with self._session.request(method, url, **options) as answer:
                body = await answer.read()
            kept = body if self._bodies or answer.status != HTTPStatus.OK else b""
            seconds = time.perf_counter() - started
            return Answer(path, answer.status, started, seconds, answer.headers, kept, len(body))
        except aiohttp.ClientResponseError as failure:
            error = f"the answer is not HTTP ({failure.message})"
        except (aiohttp.ClientError, TimeoutError, ValueError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        return Answer(path, 0, started, time.perf_counter() - started, error=error)

    async def upload(self, body: bytes) -> str:
        """Store a file; returns the path of its image."""
        answer = await self.request("/v1/images", "POST", data=body, headers={"Content-Type": "image/*"})
        if answer.status != HTTPStatus.CREATED:
            raise CannotStart(f"the service did not accept an upload: {answer}")
        return f"/v1/images/{json.loads(answer.body)['image_id']}"

    async def closed(
        self, paths: Iterable[str], clients: int, seen: Callable[[Answer], None] = lambda _: None
    ) -> list[Answer]:
        """Let each client wait for its answer before it sends the next request. `seen` gets each answer at once."""
        left, answers = iter(paths), []

        async def client() -> None:
            for path in left:
                answer = await self.request(path)
                answers.append(answer)
                seen(answer)

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
        return answers

    async def steady(self, paths: Iterable[str], rate: float) -> list[Answer]:
        """Send `rate` requests per second, whatever the answers are. Latencies count from when a request was due."""
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, path in enumerate(paths):
                due = begun + number / rate
                await asyncio.sleep(due - time.perf_counter())
                tasks.append(group.create_task(self.request(path, due=due)))
        return [task.result() for task in tasks]


def ask(url: str, method: str = "GET", seconds: float = 60, **options: Any) -> Answer:
    """Send one request over a connection of its own, from code that is not asynchronous; keeps the body."""

    async def once() -> Answer:
        async with Client(url, 1, seconds, bodies=True) as client:
            return await client.request("", method, **options)

    return asyncio.run(once())


def lasting(paths: Iterable[str], seconds: float) -> Iterator[str]:
    """These paths for so many seconds."""
    end = time.perf_counter() + seconds
    for path in paths:
        if time.perf_counter() >= end:
            return
        yield path


def until(event: asyncio.Event, paths: Iterable[str]) -> Iterator[str]:
    """These paths until an event is set."""
    for path in paths:
        if event.is_set():
            return
        yield path


def by_status(answers: Iterable[Answer]) -> str:
    """How many answers had which status."""
    counts = Counter(answer.status for answer in answers)
    return ", ".join(f"{count} x {status or 'no answer'}" for status, count in sorted(counts.items())) or "none"
