"""Streaming to clients: the body is complete, or the connection breaks."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service_kit.http.delivery import is_unchanged, send_stream


@pytest.mark.parametrize("pieces", [[], [b"12345"], [b"123", b"45"]])
async def test_a_body_shorter_than_promised_breaks_the_connection(
    http: aiohttp.ClientSession, pieces: list[bytes]
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def short(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 6
        return await send_stream(request, response, chunks())

    app = web.Application()
    app.router.add_get("/", short)
    async with TestServer(app) as server:
        with pytest.raises(aiohttp.ClientError):
            async with http.get(server.make_url("/")) as response:
                await response.read()


async def test_only_get_and_head_can_be_not_modified(http: aiohttp.ClientSession) -> None:
    async def unchanged(request: web.Request) -> web.Response:
        return web.Response(text=str(is_unchanged(request, "tag")))

    app = web.Application()
    app.router.add_route("*", "/", unchanged)
    async with TestServer(app) as server:
        for method, expected in (("GET", "True"), ("POST", "False"), ("DELETE", "False")):
            headers = {"If-None-Match": '"other", W/"tag"'}
            async with http.request(method, server.make_url("/"), headers=headers) as response:
                assert await response.text() == expected
