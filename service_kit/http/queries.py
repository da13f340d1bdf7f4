"""Queries of requests that are not for a variant. Nothing in them is ignored silently."""

import re
from collections.abc import Collection, Mapping

from aiohttp import web

from service_kit import signing
from service_kit.errors import BadRequest
from service_kit.http import access
from service_kit.parameters import decoded, is_ignored, misplaced
from service_kit.suggestions import hint

OF_ORIGINAL = re.compile(r"(?:(?:download|v|t|key|expires|signature|utm_[^=&]*+|gclid|fbclid)(?:=[^&]*+)?(?:&|$))*+")
"""nginx has the same expression (nginx/conf.d/routes.conf); a test compares them."""


def is_for_original(query: str) -> bool:
    """Whether the raw query behind an image ID leaves the image as it is, so that the response is the original."""
    return OF_ORIGINAL.fullmatch(query) is not None


def chain_of(request: web.Request) -> str:
    """The raw query, without what makes it a signed URL, which the gate has verified (access.py)."""
    query = request.raw_path.partition("?")[2]
    return signing.without(query) if access.identity_of(request).signed else query


def parameters(request: web.Request, known: Collection[str] = ()) -> dict[str, str]:
    """The parameters of a request, decoded, without those that have no effect.

    Raises BadRequest for one that is not `known`, or that appears twice. With a misspelt `cursor`, a client would read
    the first page of a list again and again.
    """
    found: dict[str, str] = {}
    for pair in filter(None, chain_of(request).split("&")):
        try:
            name, value = decoded(pair)
        except ValueError as error:
            raise BadRequest(f"{pair[:64]!r}: {error}") from None
        if name in found:
            raise BadRequest(f"`{name}` appears twice; use it once")
        if name in known:
            found[name] = value
        elif name in signing.PARAMETERS:
            raise BadRequest(misplaced(name))
        elif not is_ignored(name):
            advice = hint(name, known) if known else "remove it, since this path has no parameters"
            raise BadRequest(f"unknown parameter {name[:64]!r}; {advice}")
    return found


def whole_number(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    """The value of a parameter, from 1 to `most`. Raises BadRequest for anything else."""
    text = given.get(name, str(default))
    if re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= most:
        return int(text)
    raise BadRequest(f"{name}={text[:64]!r} is not a whole number from 1 to {most}")
