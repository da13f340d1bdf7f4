"""What must be true of an answer, judged by status, headers and body. Each check returns what is wrong, or None."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

from loadtests.variants import Expected
from measuring.client import is_refusal

_MAGIC = {
    "image/jpeg": (0, b"\xff\xd8\xff"),
    "image/png": (0, b"\x89PNG"),
    "image/webp": (8, b"WEBP"),
    "image/avif": (4, b"ftypavif"),
    "image/gif": (0, b"GIF8"),
}
_LEAST_BYTES = 64


class Answer(Protocol):
    """What locust's clients return; the status is 0 without an answer."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class Wrong(Exception):
    """The answer is not what it must be."""


class Refused(Exception):
    """The service said that it is too busy, and when to come back."""


def problem(answer: Answer, check: Callable[[Answer], str | None]) -> Refused | Wrong | None:
    """Why an answer does not count as right. An answer that a check cannot read is wrong."""
    if is_refusal(answer.status_code, answer.headers):
        return Refused(f"refused with {answer.status_code}")
    try:
        wrong = check(answer)
    except Exception as error:  # noqa: BLE001  # whatever is in the body, the answer must be counted
        wrong = f"the answer is unreadable: {type(error).__name__}"
    return Wrong(wrong) if wrong else None


def status(answer: Answer, good: int = HTTPStatus.OK) -> str | None:
    """Check the status."""
    return None if answer.status_code == good else _unexpected(answer)


def rejected(answer: Answer) -> str | None:
    """Check the answer to a hostile request, which must be a 4xx."""
    is_4xx = HTTPStatus.BAD_REQUEST <= answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    return None if is_4xx else _unexpected(answer)


def _unexpected(answer: Answer) -> str:
    if answer.status_code:
        return f"status {answer.status_code}"
    error = getattr(answer, "error", None)
    return f"no answer: {type(error).__name__ if error else 'the connection ended'}"


def image(answer: Answer, expected: Expected) -> str | None:
    """Check everything that is visible without decoding the image."""
    if wrong := status(answer) or content(answer, expected.content_type):
        return wrong
    length = len(answer.content)
    if expected.bytes is not None:
        return None if length == expected.bytes else "the original is not as long as the upload"
    return None if length >= _LEAST_BYTES else "the body is too small for an image"


def content(answer: Answer, content_type: str) -> str | None:
    """Check type and length of a good answer."""
    found, body = answer.headers.get("Content-Type"), answer.content or b""
    if found != content_type:
        return f"{found} instead of {content_type}"
    length = answer.headers.get("Content-Length")
    if length and int(length) != len(body):
        return "the body is shorter than its Content-Length"
    place, magic = _MAGIC.get(content_type, (0, b""))
    return None if body.startswith(magic, place) else f"the body is not {content_type}"


def facts(answer: Answer, expected: int, told: Mapping[str, object]) -> str | None:
    """Check an answer with the facts of an image as JSON."""
    if wrong := status(answer, expected):
        return wrong
    found = json.loads(answer.content)
    different = [name for name, value in told.items() if found.get(name) != value]
    return f"the facts have another {', '.join(different)}" if different else None


def identified(answer: Answer) -> str | None:
    """Check that an answer has an image ID, for requests that use it next."""
    return None if isinstance(json.loads(answer.content)["image_id"], str) else "the image_id is not a string"
