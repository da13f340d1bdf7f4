"""Requests and their answers, for both clients, which only send them."""

import io
import json
import random
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from imgsvc_client.chains import Chain
from imgsvc_client.errors import ApiError, from_response
from imgsvc_client.models import Focus

_RETRIED = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed."""
_REFUSED = frozenset({429, 503})
"""Those of them after which it has not arrived."""
_IMAGE_ID = re.compile("[0-9a-f]{32}")
_LONGEST_PAUSE = 30.0
CHUNK = 64 * 1024
File = Path | str | bytes | BinaryIO
Progress = Callable[[int, int | None], None]
"""Called with the bytes of the body that were sent, and all of them; None if their number is unknown."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The body of an upload: a form with texts and a file."""

    head: bytes
    file: File
    tail: bytes
    size: int | None
    """Bytes of the file; None if that is unknown, since it cannot be sought."""

    @property
    def repeats(self) -> bool:
        """Whether it can be sent again."""
        return self.size is not None

    def chunks(self) -> Iterator[bytes]:
        """The body."""
        yield self.head
        if isinstance(self.file, bytes):
            for start in range(0, len(self.file), CHUNK):
                yield self.file[start : start + CHUNK]
        elif isinstance(self.file, Path | str):
            with Path(self.file).open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        else:
            if self.size is not None:
                self.file.seek(-self.size, 2)
            while chunk := self.file.read(CHUNK):
                yield chunk
        yield self.tail

    def counted(self, progress: Progress | None) -> Iterator[bytes]:
        """The body, while `progress` hears how much of it was taken."""
        sent = 0
        for chunk in self.chunks():
            yield chunk
            sent += len(chunk)
            if progress:
                progress(sent, self.length)

    @property
    def headers(self) -> dict[str, str]:
        """The headers about the body."""
        return {} if self.length is None else {"Content-Length": str(self.length)}

    @property
    def length(self) -> int | None:
        """Bytes of the body; None if that is unknown."""
        return None if self.size is None else len(self.head) + self.size + len(self.tail)


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


def upload(
    file: File, name: str | None, texts: Mapping[str, str | None], *, space: str | None, visibility: str | None
) -> Request:
    """The request that uploads a file, with a name that makes it safe to repeat."""
    form = _form(file, _name(file, name), {key: text for key, text in texts.items() if text is not None})
    query = _query({"space": space, "visibility": visibility})
    headers = {"Content-Type": form[1], "Idempotency-Key": secrets.token_hex(16)}
    return Request("POST", f"/images{query}", headers, form[0], repeats=form[0].repeats)


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


def transform(file: File, chain: Chain, fmt: str | None) -> Request:
    """The request that transforms a file without storing it."""
    pairs = [*chain.steps, *([f"format={fmt}"] if fmt else [])]
    form = _form(file, _name(file, None), {})
    query = f"?{'&'.join(pairs)}" if pairs else ""
    return Request("POST", f"/transform{query}", {"Content-Type": form[1]}, form[0], repeats=form[0].repeats)


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


def _name(file: File, name: str | None) -> str:
    if name is not None:
        return name
    if isinstance(file, Path | str):
        return Path(file).name
    return Path(str(getattr(file, "name", "image"))).name


def _form(file: File, name: str, texts: Mapping[str, str]) -> tuple[Upload, str]:
    """A multipart form (RFC 7578), and its content type."""
    boundary = secrets.token_hex(16)
    quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{text}\r\n'
        for field, text in texts.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{quoted}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    upload = Upload("".join(parts).encode(), file, f"\r\n--{boundary}--\r\n".encode(), _size(file))
    return upload, f"multipart/form-data; boundary={boundary}"


def _size(file: File) -> int | None:
    if isinstance(file, bytes):
        return len(file)
    if isinstance(file, Path | str):
        return Path(file).stat().st_size
    if isinstance(file, io.TextIOBase):
        raise ValueError("the file is open as text; open it with mode 'rb'")  # noqa: TRY004
    if not file.seekable():
        return None
    begin = file.tell()
    end = file.seek(0, 2)
    file.seek(begin)
    return end - begin
