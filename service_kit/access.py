"""What every answered request leaves behind: a line in the log, and counts."""

import asyncio
import logging
import time
from typing import NamedTuple

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from service_kit import metrics
from service_kit.logging import Event, tell
from service_kit.middlewares import REQUEST_ID
from service_kit.spans import Spans, spans_of

_SEND = "send"
"""The span of what comes behind the last lap: the answer on its way to the client."""
_LONGEST_URI = 500
_CLIENT_GONE = 499
"""nginx's status for a client that did not wait for its answer."""
_PAUSE, _MOST = 0.05, 64
"""Seconds for which requests are collected, and how many at the most."""
_ANSWER = web.RequestKey("ANSWER", web.StreamResponse)

logger = logging.getLogger("access")


async def remember(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Keep the answer that is about to be sent; a signal handler."""
    request[_ANSWER] = response


def client_gone(request: web.BaseRequest) -> None:
    """What is left behind where the client hung up: aiohttp's access logger is told of no request that is cancelled.

    Clients that have all of an answer hang up, too, and may do so before its handler has come to its end.
    """
    answer, sent = request.get(_ANSWER), request.writer
    status = answer.status if answer is not None and sent.length == 0 else _CLIENT_GONE
    _leave_behind(request, status, sent.output_size, answer)


class AccessLogger(AbstractAccessLogger):
    """Told by aiohttp of each request once its answer is sent."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, _seconds: float) -> None:
        """See AbstractAccessLogger."""
        # Not `_seconds`, which come from uvloop's clock: that knows whole milliseconds.
        _leave_behind(request, response.status, response.body_length, response)


class _Answered(NamedTuple):
    """What is left of a request."""

    at: float
    method: str
    uri: str
    route: str
    request_id: str
    status: int
    received: int
    sent: int
    seconds: float
    spans: Spans
    cache: str


_answered: list[_Answered] = []


def _leave_behind(request: web.BaseRequest, status: int, sent: int, answer: web.StreamResponse | None) -> None:
    spans = spans_of(request)
    if spans.seconds:
        spans.lap(_SEND)
    _answered.append(
        _Answered(
            time.time(),
            request.method,
            request.raw_path[:_LONGEST_URI] if isinstance(request, web.Request) else "",
            metrics.route_of(request),
            request.get(REQUEST_ID, ""),
            status,
            request.content.total_bytes,
            sent,
            spans.elapsed,
            spans,
            "" if answer is None else answer.headers.get("Cache-Status", ""),
        )
    )
    if len(_answered) == 1:
        asyncio.get_running_loop().call_later(_PAUSE, settle)
    elif len(_answered) >= _MOST:
        settle()


def settle() -> None:
    """Count and log the requests that were answered in the last moments.

    Several at once, since the second finds in the processor's caches what the first one needed: each by itself, between
    two requests, takes twice as long (ADR 17).
    """
    answered = _answered.copy()
    _answered.clear()
    for one in answered:
        metrics.count_request(one.method, one.route, one.status, one.received, one.sent, one.seconds, one.spans.seconds)
    if logger.isEnabledFor(logging.INFO):
        told = (one for one in answered if one.status >= 400 or not _is_a_check(one.route))  # noqa: PLR2004
        tell(logger, map(_event, told))


def _event(one: _Answered) -> Event:
    return Event(
        one.at,
        f"{one.method} {one.uri!r} {one.status} in {one.seconds * 1000:.1f} ms ({one.request_id})",
        {
            "request_id": one.request_id,
            "method": one.method,
            "uri": one.uri,
            "route": one.route,
            "status": one.status,
            "bytes_in": one.received,
            "bytes_out": one.sent,
            "seconds": round(one.seconds, 6),
            "cache": one.cache,
            "timing": str(one.spans),
        },
    )


def _is_a_check(route: str) -> bool:
    """Whether it is asked every few seconds by machines that only want to know whether there is an answer."""
    return route == metrics.PATH or route.endswith("/healthcheck")
