"""Request IDs: the one that the client sent, if it is valid, otherwise a new one."""

import re
import uuid

from aiohttp import web

_REQUEST_ID = web.RequestKey("REQUEST_ID", str)
_VALID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id_of(request: web.BaseRequest) -> str:
    """The ID of a request. The first call determines it."""
    known = request.get(_REQUEST_ID)
    if known is None:
        given = request.headers.get("X-Request-ID", "")
        known = request[_REQUEST_ID] = given if _VALID.fullmatch(given) else uuid.uuid4().hex
    return known
