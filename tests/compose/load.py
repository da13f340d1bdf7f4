"""Clients that keep sending requests while something happens to the stack."""

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import aiohttp

_PAUSE = 0.0 if os.environ.get("LONG") else 0.02
"""Seconds between two requests of a client. In CI, other tests run at the same time."""


class Hammer:
    """Requests URLs in turn, as fast as responses arrive (with LONG=1), and counts the responses."""

    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str], clients: int) -> None:
        self.answers: Counter[int | str] = Counter()
        self.bad: list[str] = []
        self._http = http
        self._urls = itertools.cycle(urls)
        self._clients = clients
        self._stop = False

    @property
    def total(self) -> int:
        """Responses so far, including requests that failed without one."""
        return self.answers.total()

    @asynccontextmanager
    async def running(self, check: Callable[[aiohttp.ClientResponse, bytes], str | None]) -> AsyncIterator["Hammer"]:
        """Send requests while the context lasts. `check` returns what is wrong with a response, or None."""
        tasks = [asyncio.create_task(self._ask(check)) for _ in range(self._clients)]
        try:
            yield self
        finally:
            self._stop = True
            await asyncio.gather(*tasks)

    async def more(self, number: int) -> None:
        """Wait for `number` more responses."""
        until = self.total + number
        while self.total < until:
            await asyncio.sleep(0.01)

    async def _get(self, url: str) -> tuple[aiohttp.ClientResponse, bytes]:
        """Send a request. Like a browser, send it again on a new connection if an idle one has just been closed.

        A server may close an idle connection at any time (RFC 9112, 9.5), also while a request is on its way. aiohttp
        repeats the request once, but nginx closes all idle ones when it reloads.
        """
        try:
            async with self._http.get(url) as answer:
                return answer, await answer.read()
        except aiohttp.ServerDisconnectedError:
            connector = aiohttp.TCPConnector(ssl=False)
            async with aiohttp.ClientSession(connector=connector) as new, new.get(url) as answer:
                return answer, await answer.read()

    async def _ask(self, check: Callable[[aiohttp.ClientResponse, bytes], str | None]) -> None:
        while not self._stop:
            url = next(self._urls)
            try:
                answer, body = await self._get(url)
                self.answers[answer.status] += 1
                wrong = check(answer, body)
            except aiohttp.ClientError as error:
                self.answers[type(error).__name__] += 1
                wrong = repr(error)
            if wrong:
                self.bad.append(f"{url}: {wrong}")
            await asyncio.sleep(_PAUSE)


class Balancer:
    """Spreads requests over nodes like a load balancer, without nodes that fail their health check."""

    def __init__(self, http: aiohttp.ClientSession, places: dict[str, str]) -> None:
        """`places`: the URL of each node, by any kind of name."""
        self.places = places
        self.failed: list[str] = []
        self.left: set[str] = set()
        """Nodes whose health check answered 503."""
        self._http = http
        self._alive = set(places)
        self._stop = False

    @asynccontextmanager
    async def running(self, paths: Sequence[str], clients: int) -> AsyncIterator[None]:
        """Check the nodes, and request the paths in turn, while the context lasts."""
        asked = itertools.cycle(paths)
        tasks = [asyncio.create_task(self._check(name)) for name in self.places]
        tasks += [asyncio.create_task(self._ask(asked)) for _ in range(clients)]
        try:
            yield
        finally:
            self._stop = True
            await asyncio.gather(*tasks)

    async def all_alive(self) -> None:
        """Wait until every node passes its check."""
        while self._alive != set(self.places):
            await asyncio.sleep(0.05)

    async def _check(self, name: str) -> None:
        while not self._stop:
            status = await self._health(name)
            if status == 503:
                self.left.add(name)
            (self._alive.add if status == 200 else self._alive.discard)(name)
            await asyncio.sleep(0.2)

    async def _health(self, name: str) -> int:
        timeout = aiohttp.ClientTimeout(1)
        try:
            async with self._http.get(f"{self.places[name]}/cache/healthcheck", timeout=timeout) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def _ask(self, paths: Iterator[str]) -> None:
        for number in itertools.count():
            if self._stop:
                return
            name = sorted(self._alive)[number % len(self._alive)]
            try:
                async with self._http.get(self.places[name] + next(paths)) as answer:
                    body = await answer.read()
                if answer.status != 200:
                    self.failed.append(f"{name}: {answer.status} {body[:200]!r}")
            except aiohttp.ClientError as error:
                self.failed.append(f"{name}: {error!r}")


def is_200(answer: aiohttp.ClientResponse, body: bytes) -> str | None:
    """What is wrong with a response that should have status 200, or None."""
    return None if answer.status == 200 else f"{answer.status} {body[:300]!r}"
