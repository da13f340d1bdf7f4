"""A proxy in front of a service, which can hold requests or answer in its place: what a page sees on a bad day."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import aiohttp
from aiohttp import web

_OF_CONNECTIONS = {"Connection", "Keep-Alive", "Transfer-Encoding", "Content-Encoding", "Content-Length"}


class Gate:
    """Forwards everything to `target`, except what `answering`, `holding` and `breaking` say."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._answers: dict[str, web.Response] = {}
        self._held: dict[str, asyncio.Event] = {}
        self._broken: list[str] = []
        self._lost: list[str] = []
        self.seen: list[str] = []
        """Method and path of each request."""

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=1024**3)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for event in self._held.values():
            event.set()
        await self._runner.cleanup()
        await self._http.close()

    @contextmanager
    def answering(self, pattern: str, status: int, detail: str, **headers: str) -> Iterator[None]:
        """A context in which requests like `GET /v1/images` get a problem."""
        body = {"title": "Error", "status": status, "detail": detail}
        self._answers[pattern] = web.json_response(
            body, status=status, headers=headers, content_type="application/problem+json"
        )
        try:
            yield
        finally:
            del self._answers[pattern]

    @contextmanager
    def holding(self, pattern: str) -> Iterator[None]:
        """A context in which such requests wait until its end."""
        event = self._held[pattern] = asyncio.Event()
        try:
            yield
        finally:
            del self._held[pattern]
            event.set()

    @contextmanager
    def breaking(self, pattern: str) -> Iterator[None]:
        """A context in which the connections of such requests break after some bytes of their body."""
        self._broken.append(pattern)
        try:
            yield
        finally:
            self._broken.remove(pattern)

    @contextmanager
    def losing(self, pattern: str) -> Iterator[None]:
        """A context in which such requests arrive, and their responses do not."""
        self._lost.append(pattern)
        try:
            yield
        finally:
            self._lost.remove(pattern)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        line = f"{request.method} {request.rel_url}"
        self.seen.append(line)
        if any(re.match(pattern, line) for pattern in self._broken):
            await request.content.read(1)
            assert request.transport
            request.transport.abort()
        for pattern, event in list(self._held.items()):
            if re.match(pattern, line):
                await event.wait()
        for pattern, answer in self._answers.items():
            if re.match(pattern, line):
                await request.read()
                return web.Response(body=answer.body, status=answer.status, headers=answer.headers)
        response = await self._forward(request)
        if any(re.match(pattern, line) for pattern in self._lost):
            assert request.transport
            request.transport.abort()
        return response

    async def _forward(self, request: web.Request) -> web.Response:
        url = f"{self._target}{request.raw_path}"
        data = await request.read()
        async with self._http.request(
            request.method, url, headers=request.headers, data=data, allow_redirects=False
        ) as response:
            body = await response.read()
            headers = {name: value for name, value in response.headers.items() if name not in _OF_CONNECTIONS}
            if encoding := response.headers.get("Content-Encoding"):
                headers["Content-Encoding"] = encoding
            return web.Response(body=body, status=response.status, headers=headers)
