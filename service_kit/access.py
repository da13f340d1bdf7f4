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

logger = logging.getLogger("access")


_GONE = web.Response(status=499)
"""In the place of an answer to a client that did not wait for it; the status is nginx's."""


def client_gone(request: web.BaseRequest) -> None:
    """Leave behind what an answered request does: aiohttp's access logger is not told of those that nobody awaits."""
    AccessLogger(logger, "").log(request, _GONE, 0.0)


class AccessLogger(AbstractAccessLogger):
    """Told by aiohttp of each request once its answer is sent."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """See AbstractAccessLogger. `time`: seconds from the end of the headers on."""
        spans = spans_of(request)
        if spans.seconds:
            spans.lap(_SEND)
        seconds = spans.elapsed  # `time` comes from uvloop's clock, which knows whole milliseconds
        route = metrics.route_of(request)
        metrics.count_request(request, route, response, seconds, spans.seconds)
        if not logger.isEnabledFor(logging.INFO) or (_is_a_check(route) and response.status < 400):  # noqa: PLR2004
            return
        uri = request.raw_path[:_LONGEST_URI] if isinstance(request, web.Request) else ""
        logger.info(
            "%s %r %d in %.1f ms",
            request.method,
            uri,
            response.status,
            seconds * 1000,
            extra={
                FIELDS: {
                    "request_id": request.get(REQUEST_ID, ""),
                    "method": request.method,
                    "uri": uri,
                    "route": route,
                    "status": response.status,
                    "bytes_in": request.content.total_bytes,
                    "bytes_out": response.body_length,
                    "seconds": round(seconds, 6),
                    "cache": response.headers.get("Cache-Status", ""),
                    "timing": str(spans),
                }
            },
        )


def _is_a_check(route: str) -> bool:
    """Whether it is asked every few seconds by machines that only want to know whether there is an answer."""
    return route == metrics.PATH or route.endswith("/healthcheck")
