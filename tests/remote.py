"""A web server for remote sources, with good and bad behaviour."""

import asyncio
import json
import socket
from typing import Self

from aiohttp import web

from tests import pictures
from tests.servers import free_port

PORT = free_port()
_reservation = socket.socket()
"""Bound and never listening, so that no other server of the tests gets the port before or between uses."""
_reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
_reservation.bind(("0.0.0.0", PORT))
LOOPBACK = "127.0.0.2"
"""The settings below allow it, so that tests can check that 127.0.0.1 is refused."""
SETTINGS = {
    "REMOTE_PORTS": json.dumps([80, 443, PORT]),
    "REMOTE_ALLOWED_NETWORKS": json.dumps([f"{LOOPBACK}/32", "172.16.0.0/12", "192.168.0.0/16"]),
    "REMOTE_SECONDS": "2",
    "REMOTE_FETCHES": "8",
    "PRESETS": json.dumps({"avatar": "resize=64x64,cover&grayscale"}),
}


class RemoteServer:
    """Records the path of every request."""

    def __init__(self) -> None:
        self.requested: list[str] = []
        app = web.Application(middlewares=[self._record])
        app.add_routes(
            [
                web.get("/photo.jpg", self._photo),
                web.get("/canary", self._photo),
                web.get("/redirect", self._redirect),
                web.get("/loop", self._loop),
                web.get("/slow", self._slow),
                web.get("/endless", self._endless),
                web.get("/text", self._text),
                web.get("/empty", self._empty),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "0.0.0.0", PORT, reuse_port=True).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _record(self, request: web.Request, handler: object) -> web.StreamResponse:
        self.requested.append(request.path_qs)
        return await handler(request)  # type: ignore[operator, no-any-return]

    async def _photo(self, _: web.Request) -> web.Response:
        return web.Response(body=pictures.jpeg(64, 48), headers={"Set-Cookie": "a=b", "X-Secret": "remote"})

    async def _redirect(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"]})

    async def _loop(self, _: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/loop"})

    async def _slow(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(pictures.jpeg()[:20])
        await asyncio.sleep(60)
        return response

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(pictures.jpeg())
        while True:
            await response.write(bytes(1024**2))

    async def _text(self, _: web.Request) -> web.Response:
        return web.Response(text="not an image", content_type="image/jpeg")

    async def _empty(self, _: web.Request) -> web.Response:
        return web.Response(body=b"", content_type="image/jpeg")
