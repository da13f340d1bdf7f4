"""The spans of an HTTP request."""

from aiohttp import web

from service_kit.observing.spans import Spans

_SPANS = web.RequestKey("SPANS", Spans)


def spans_of(request: web.BaseRequest) -> Spans:
    """The spans of a request. Its stopwatch starts with the first call."""
    spans = request.get(_SPANS)
    if spans is None:
        spans = request[_SPANS] = Spans()
    return spans
