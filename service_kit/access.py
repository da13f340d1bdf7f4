"""What every answered request leaves behind: a line in the log, and counts."""

import logging

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from service_kit import metrics
from service_kit.logging import FIELDS
from service_kit.middlewares import REQUEST_ID
from service_kit.spans import spans_of

_SEND = "send"
"""The span of what comes behind the last lap: the answer on its way to the client."""
_LONGEST_URI = 500
_CLIENT_GONE = 499
"""nginx's status for a client that did not wait for its answer."""
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

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """See AbstractAccessLogger. `time`: seconds from the end of the headers on."""
        # Not `time`, which comes from uvloop's clock: that knows whole milliseconds.
        _leave_behind(request, response.status, response.body_length, response)


def _leave_behind(request: web.BaseRequest, status: int, sent: int, answer: web.StreamResponse | None) -> None:
    spans = spans_of(request)
    if spans.seconds:
        spans.lap(_SEND)
    seconds = spans.elapsed
    route = metrics.route_of(request)
    metrics.count_request(request, route, status, sent, seconds=seconds, spans=spans.seconds)
    if not logger.isEnabledFor(logging.INFO) or (_is_a_check(route) and status < 400):  # noqa: PLR2004
        return
    request_id = request.get(REQUEST_ID, "")
    uri = request.raw_path[:_LONGEST_URI] if isinstance(request, web.Request) else ""
    logger.info(
        "%s %r %d in %.1f ms (%s)",
        request.method,
        uri,
        status,
        seconds * 1000,
        request_id,
        extra={
            FIELDS: {
                "request_id": request_id,
                "method": request.method,
                "uri": uri,
                "route": route,
                "status": status,
                "bytes_in": request.content.total_bytes,
                "bytes_out": sent,
                "seconds": round(seconds, 6),
                "cache": "" if answer is None else answer.headers.get("Cache-Status", ""),
                "timing": str(spans),
            }
        },
    )


def _is_a_check(route: str) -> bool:
    """Whether it is asked every few seconds by machines that only want to know whether there is an answer."""
    return route == metrics.PATH or route.endswith("/healthcheck")
