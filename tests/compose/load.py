"""Clients that ask again and again while something happens to the stack."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import aiohttp


class Hammer:
    """Asks for URLs in turn, as fast as answers come, and counts what came."""

    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str], clients: int) -> None:
        self.answers: Counter[int | str] = Counter()
        self.bad: list[str] = []
        self._http = http
        self._urls = itertools.cycle(urls)
        self._clients = clients
        self._stop = False

    @property
    def total(self) -> int:
        """Answers so far, and requests without one."""
        return self.answers.total()

    @asynccontextmanager
    async def running(self, check: Callable[[aiohttp.ClientResponse, bytes], str | None]) -> AsyncIterator["Hammer"]:
        """Ask as long as the context lasts. `check` says what is wrong with an answer, None where nothing is."""
        tasks = [asyncio.create_task(self._ask(check)) for _ in range(self._clients)]
        try:
            yield self
        finally:
            self._stop = True
            await asyncio.gather(*tasks)

    async def more(self, number: int) -> None:
        """Wait until `number` more answers have come."""
        until = self.total + number
        while self.total < until:
            await asyncio.sleep(0.01)

    async def _ask(self, check: Callable[[aiohttp.ClientResponse, bytes], str | None]) -> None:
        while not self._stop:
            url = next(self._urls)
            try:
                async with self._http.get(url) as answer:
                    body = await answer.read()
                self.answers[answer.status] += 1
                wrong = check(answer, body)
            except aiohttp.ClientError as error:
                self.answers[type(error).__name__] += 1
                wrong = repr(error)
            if wrong:
                self.bad.append(f"{url}: {wrong}")


class Balancer:
    """Spreads requests over nodes as a load balancer does: one that fails its health check is asked nothing more."""

    def __init__(self, http: aiohttp.ClientSession, places: dict[str, str]) -> None:
        """`places`: the URL of each node, by any name."""
        self.places = places
        self.failed: list[str] = []
        self.left: set[str] = set()
        """Nodes that said 503 of themselves."""
        self._http = http
        self._alive = set(places)
        self._stop = False

    @asynccontextmanager
    async def running(self, paths: Sequence[str], clients: int) -> AsyncIterator[None]:
        """Check, and ask for paths in turn, as long as the context lasts."""
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
    """What is wrong with an answer that should be an image."""
    return None if answer.status == 200 else f"{answer.status} {body[:300]!r}"
