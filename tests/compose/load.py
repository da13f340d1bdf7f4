"""Clients that ask again and again while something happens to the stack."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
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


def is_200(answer: aiohttp.ClientResponse, body: bytes) -> str | None:
    """What is wrong with an answer that should be an image."""
    return None if answer.status == 200 else f"{answer.status} {body[:300]!r}"
