"""Requests and their answers, for both clients, which only send them."""

import json
import random
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from imgsvc_client._forms import File, Upload, form
from imgsvc_client.chains import Chain
from imgsvc_client.errors import ApiError, from_response
from imgsvc_client.models import Focus

_RETRIED = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed."""
_REFUSED = frozenset({429, 503})
"""Those of them after which it has not arrived."""
ABSENT = frozenset({404, 410})
"""Statuses of images that do not exist any more, or never did."""
REFUSED_VIEWS = frozenset({401, 403})
"""Those of images that exist, but that a key may not see."""
_IMAGE_ID = re.compile("[0-9a-f]{32}")
_NAME = re.compile("[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request, apart from what all have in common."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Upload | None = None
    repeats: bool = True
    """Whether it may be sent again if it is unknown whether it has arrived."""


def checked(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """The body of a good response. Raises ApiError for others."""
    if status >= 400:  # noqa: PLR2004
        raise from_response(status, headers, body)
    return body


def common_headers(key: str | None) -> dict[str, str]:
    """The headers of all requests."""
    authorization = {"Authorization": f"Bearer {key}"} if key else {}
    return {"User-Agent": "imgsvc-client", **authorization}


def may_repeat(request: Request, error: ApiError) -> bool:
    """Whether a request that was refused may succeed later, and its body is still there."""
    was_refused = error.status in _REFUSED and not isinstance(request.body, Upload)
    return error.status in _RETRIED and (request.repeats or was_refused)


def is_done(request: Request, error: ApiError, attempt: int) -> bool:
    """Whether an error only says that an earlier attempt has arrived."""
    return attempt > 0 and request.method == "DELETE" and error.status == 410  # noqa: PLR2004


def pause(attempt: int, error: Exception) -> float:
    """Seconds before the next attempt, counted from 0."""
    asked = error.retry_after if isinstance(error, ApiError) else None
    return min(_LONGEST_PAUSE, asked if asked is not None else 0.2 * 2**attempt) * random.uniform(1, 1.25)


def check_scope(me: Mapping[str, Any], scope: str | None) -> None:
    """Raise ApiError if the service requires a key with this scope, and that in requests is another one."""
    if scope is None or not me["keys_required"] or not {scope, "admin"}.isdisjoint(me["scopes"]):
        return
    advice = f"this requires a key with the scope `{scope}`; send it as `Authorization: Bearer KEY`"
    refused = (401, advice) if me["name"] is None else (403, f"the key lacks the scope `{scope}`; use one that has it")
    raise ApiError(*refused)


def upload(
    file: File,
    name: str | None,
    texts: Mapping[str, str | None],
    *,
    space: str | None,
    visibility: str | None,
    repeat: str | None,
) -> Request:
    """The request that uploads a file, with a name, `repeat`, that makes it safe to repeat."""
    body, content_type = form(file, name, {key: text for key, text in texts.items() if text is not None})
    query = _query({"space": space, "visibility": visibility})
    headers = {"Content-Type": content_type, "Idempotency-Key": repeat or secrets.token_hex(16)}
    return Request("POST", f"/images{query}", headers, body, repeats=body.repeats)


def labels(
    *,
    title: str | None,
    alt: str | None,
    tags: Sequence[str] | None,
    metadata: Mapping[str, Any] | None,
    focus: Focus | Mapping[str, float] | Sequence[float] | None,
    ttl: int | None,
) -> dict[str, str | None]:
    """What an upload says about an image, as fields of a form."""
    point = None if focus is None else pair(focus)
    return {
        "title": title,
        "alt": alt,
        "tags": None if tags is None else ",".join(map(_tag, _listed(tags))),
        "metadata": None if metadata is None else json.dumps(metadata, ensure_ascii=False, separators=(",", ":")),
        "focus": None if point is None else f"{point[0]},{point[1]}",
        "ttl": None if ttl is None else str(ttl),
    }


def pair(focus: Focus | Mapping[str, float] | Sequence[float]) -> tuple[float, float]:
    """A focal point in any of its forms. Raises ValueError for anything else."""
    try:
        if isinstance(focus, Focus):
            return focus.x, focus.y
        x, y = (focus["x"], focus["y"]) if isinstance(focus, Mapping) else focus
        return float(x), float(y)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{focus!r} is not a focal point; write it as (0.3, 0.6)") from error


def image_id(image: object) -> str:
    """The ID of an image, which may be the image itself. Raises ValueError for anything else."""
    found = str(getattr(image, "image_id", image))
    if not _IMAGE_ID.fullmatch(found):
        raise ValueError(f"{found[:64]!r} is not an image or the ID of one")
    return found


def _listed(tags: Sequence[str]) -> Sequence[str]:
    if isinstance(tags, str):
        raise ValueError(f"tags is a list, such as [{tags!r}]")  # noqa: TRY004
    return tags


def _tag(text: str) -> str:
    if "," in text:
        raise ValueError(f"the tag {text!r} has a comma; tags are separated by commas")
    return text


def named(name: str) -> str:
    """Check a name. Raises ValueError if it is not valid."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:64]!r} is not a name; use letters, digits, `-`, `_`, `~`, `.` and `/`")
    return name


def pointed(name: str, image: File | None, shown: str | None, version: int | None) -> Request:
    """The request that makes a name show a file, an image or a version. Raises ValueError unless it is one of them."""
    path = f"/names/{named(name)}"
    if sum(each is not None for each in (image, shown, version)) != 1:
        raise ValueError("give one of: a file, image=… or version=…")
    if image is not None:
        body, content_type = form(image, None, {})
        return Request("PUT", path, {"Content-Type": content_type}, body, repeats=False)
    return posted("PUT", path, {"version": version} if shown is None else {"image_id": shown}, repeats=False)


def transform(file: File, chain: Chain, fmt: str | None) -> Request:
    """The request that transforms a file without storing it."""
    pairs = [*chain.steps, *([f"format={fmt}"] if fmt else [])]
    body, content_type = form(file, None, {})
    query = f"?{'&'.join(pairs)}" if pairs else ""
    return Request("POST", f"/transform{query}", {"Content-Type": content_type}, body, repeats=body.repeats)


def listed(limit: int, cursor: str | None, filters: Mapping[str, object]) -> Request:
    """The request for a page of images."""
    given = {name: _text(value) for name, value in filters.items() if value is not None}
    return Request("GET", "/images" + _query({"limit": str(limit), "cursor": cursor, **given}))


def posted(method: str, path: str, values: Mapping[str, Any], *, repeats: bool = True) -> Request:
    """A request with JSON."""
    body = json.dumps({name: _json(name, value) for name, value in values.items()}).encode()
    return Request(method, path, {"Content-Type": "application/json"}, body, repeats=repeats)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, str | int) else ",".join(map(str, value))  # type: ignore[call-overload]


def _json(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if name == "focus" and value is not None:
        return dict(zip("xy", pair(value), strict=True))
    return list(value) if isinstance(value, tuple | set | frozenset) else value


def _query(given: Mapping[str, str | None]) -> str:
    named = {name: value for name, value in given.items() if value is not None}
    return f"?{urlencode(named, quote_via=quote)}" if named else ""
