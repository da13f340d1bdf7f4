"""A receiver of webhooks, which keeps what it gets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

from service_kit.http.server import Runner, listen


@dataclass(frozen=True)
class Received:
    """An event as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """What it says, without a look at the signature."""
        event: dict[str, Any] = json.loads(self.body)
        return event

    def verified(self, secret: str) -> dict[str, Any]:
        """What it says. Raises WebhookVerificationError unless it is signed with the secret."""
        event: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return event


class Receiver:
    """Answers with `status`, `headers` and `answer`, after `hold` is set, unless it is None."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        self.answer = b""
        self.hold: asyncio.Event | None = None
        self.url = ""
        self._arrived = asyncio.Condition()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(headers, await request.read())
        async with self._arrived:
            self.received.append(received)
            self._arrived.notify_all()
        if self.hold:
            await self.hold.wait()
        return web.Response(status=self.status, headers=self.headers, body=self.answer)

    async def take(self, number: int) -> list[Received]:
        """Everything that has arrived, once there are so many."""
        async with asyncio.timeout(30), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= number)
            return [*self.received]

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator["Receiver"]:
        """Listen on a port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        runner = Runner(app)
        await runner.setup()
        self.url = f"{await listen(runner, '127.0.0.1', port)}/hook"
        try:
            yield self
        finally:
            if self.hold:
                self.hold.set()
            await runner.cleanup()
