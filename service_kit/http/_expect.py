"""`Expect: 100-continue` (RFC 9110, 10.1.1): a client that waits sends its body only once a handler wants it.

aiohttp sends the 100 before the handler runs. A client would then send 70 MB to learn that they are too large.
"""

from collections.abc import Callable

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

_WAITING = web.RequestKey("WAITING", bool)
_EXPECTED = web.RequestKey("EXPECTED", str)
Factory = Callable[..., web.BaseRequest]


def deferring(factory: Factory) -> Factory:
    """A factory of requests that hides the header from aiohttp."""

    def create(message: RawRequestMessage, *rest: object) -> web.BaseRequest:
        expected = message.headers.get(hdrs.EXPECT)
        if not expected:
            return factory(message, *rest)
        headers = CIMultiDict(message.headers)
        headers.popall(hdrs.EXPECT)
        request = factory(message._replace(headers=CIMultiDictProxy(headers)), *rest)
        request[_EXPECTED] = expected
        request[_WAITING] = expected.lower() == "100-continue" and request.version >= HttpVersion11
        return request

    return create


def unknown_expectation(request: web.BaseRequest) -> str:
    """What the client expects, if it is anything else than a 100; otherwise empty."""
    expected = request.get(_EXPECTED, "")
    return "" if expected.lower() == "100-continue" else expected


def is_waiting(request: web.BaseRequest) -> bool:
    """Whether the client has not sent its body, and waits for a 100 or for the final response."""
    return request.get(_WAITING, False) and not request.content.total_bytes


async def let_continue(request: web.Request) -> None:
    """Ask the client for its body if it waits for that."""
    if is_waiting(request):
        request[_WAITING] = False
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp does: the response has not begun
