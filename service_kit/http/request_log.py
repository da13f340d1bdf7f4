"""The request log: logs and counts every request."""

import asyncio
import logging
import time
from typing import NamedTuple

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from service_kit import signing
from service_kit.http import metrics, paths
from service_kit.http.health import is_check
from service_kit.http.identity import request_id_of
from service_kit.http.timing import spans_of
from service_kit.observing.logging import Event, log_events
from service_kit.observing.spans import Spans

_SEND = "send"
"""The span from the last lap to the end: sending the response to the client."""
_LONGEST_URI = 500
_CLIENT_GONE = 499
"""nginx's status for a client that did not wait for the response."""
_PAUSE, _MOST = 0.05, 64
"""For how many seconds requests are collected before they are written, and how many at most."""
_RESPONSE = web.RequestKey("RESPONSE", web.StreamResponse)

logger = logging.getLogger("access")


async def remember_response(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Keep the response that is about to be sent; a signal handler."""
    request[_RESPONSE] = response


def log_hang_up(request: web.BaseRequest) -> None:
    """Log a request whose client hung up, which aiohttp does not report to its access logger.

    The status is the response's own if the client had received all of it before the handler finished.
    """
    response, writer = request.get(_RESPONSE), request.writer
    status = response.status if response is not None and writer.length == 0 else _CLIENT_GONE
    _collect(request, status, writer.output_size, response)


class RequestLogger(AbstractAccessLogger):
    """aiohttp calls it after each response that was sent completely."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, _seconds: float) -> None:
        """See AbstractAccessLogger."""
        # Do not use `_seconds`: uvloop's clock has only whole milliseconds.
        _collect(request, response.status, response.body_length, response)


class _Answered(NamedTuple):
    """What the log says about a request."""

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


def _collect(request: web.BaseRequest, status: int, sent: int, response: web.StreamResponse | None) -> None:
    spans = spans_of(request)
    if spans.seconds:
        spans.lap(_SEND)
    _answered.append(
        _Answered(
            time.time(),
            request.method,
            signing.redacted(request.raw_path)[:_LONGEST_URI] if isinstance(request, web.Request) else "",
            metrics.route_of(request),
            request_id_of(request),
            status,
            request.content.total_bytes,
            sent,
            spans.elapsed,
            spans,
            "" if response is None else response.headers.get("Cache-Status", ""),
        )
    )
    if len(_answered) == 1:
        asyncio.get_running_loop().call_later(_PAUSE, flush)
    elif len(_answered) >= _MOST:
        flush()


def flush() -> None:
    """Count and log the requests collected so far.

    Several at once, because the processor's caches then hold what the next one needs. One at a time, between other
    work, each takes twice as long (docs/adr/0018).
    """
    answered = _answered.copy()
    _answered.clear()
    for one in answered:
        metrics.count_request(one.method, one.route, one.status, one.received, one.sent, one.seconds, one.spans.seconds)
    if logger.isEnabledFor(logging.INFO):
        logged = (one for one in answered if one.status >= 400 or not _is_a_check(one.route))  # noqa: PLR2004
        log_events(logger, map(_event, logged))


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
    """Whether machines request the route every few seconds, just to see whether something is to be done or responds."""
    return route in {metrics.PATH, paths.JOB_CLAIM} or is_check(route)
