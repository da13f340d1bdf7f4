"""What must be true of an answer, told from status, headers and body."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

from loadtests.variants import Expected

_MAGIC = {"image/jpeg": (0, b"\xff\xd8\xff"), "image/png": (0, b"\x89PNG"), "image/webp": (8, b"WEBP")}
_MAGIC |= {"image/avif": (4, b"ftypavif"), "image/gif": (0, b"GIF8")}
_LEAST_BYTES = 64
REFUSALS = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
"""With Retry-After."""


class Answer(Protocol):
    """What both of locust's clients give back; status 0 where there was no answer."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class Wrong(Exception):
    """The answer is not what it must be."""


class Refused(Exception):
    """The service said cleanly that it is too much: 429, or 503 that says when to come back."""


def refusal(answer: Answer) -> Refused | None:
    """Whether an answer is a clean refusal."""
    code = answer.status_code
    return Refused(f"refused with {code}") if code in REFUSALS and answer.headers.get("Retry-After") else None


def problem(answer: Answer, check: Callable[[Answer], str | None]) -> Refused | Wrong | None:
    """Why an answer does not count as right. What a check cannot even read is wrong, too."""
    if refused := refusal(answer):
        return refused
    try:
        wrong = check(answer)
    except Exception as error:  # noqa: BLE001  # whatever the body made it stumble over, the answer must be counted
        wrong = f"the answer cannot be read: {type(error).__name__}"
    return Wrong(wrong) if wrong else None


def status(answer: Answer, *good: int) -> str | None:
    """What is wrong with a status."""
    if answer.status_code in good:
        return None
    if not answer.status_code:
        error = getattr(answer, "error", None)
        return f"no answer: {type(error).__name__ if error else 'the connection ended'}"
    return f"status {answer.status_code}"


def image(answer: Answer, expected: Expected) -> str | None:
    """What is wrong with an answer that should be this image, as far as one sees without decoding it."""
    if wrong := status(answer, HTTPStatus.OK):
        return wrong
    return content(answer, expected.content_type) or _size(answer.content, expected)


def content(answer: Answer, content_type: str) -> str | None:
    """What is wrong with type and length of a good answer."""
    told, body = answer.headers.get("Content-Type"), answer.content or b""
    if told != content_type:
        return f"{told} instead of {content_type}"
    length = answer.headers.get("Content-Length")
    if length and int(length) != len(body):
        return "the body is shorter than its Content-Length"
    place, magic = _MAGIC.get(content_type, (0, b""))
    if not body.startswith(magic, place):
        return f"the body is no {content_type}"
    return None


def _size(body: bytes, expected: Expected) -> str | None:
    if expected.bytes is not None:
        return None if len(body) == expected.bytes else "the original has another length than what was uploaded"
    return None if len(body) >= _LEAST_BYTES else "the body is too small for an image"


def refused_as_hostile(answer: Answer) -> str | None:
    """What is wrong with the answer to what no service should do: anything that is no 4xx."""
    if HTTPStatus.BAD_REQUEST <= answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    return status(answer)


def facts(answer: Answer, expected: int, told: Mapping[str, object]) -> str | None:
    """What is wrong with an answer that tells facts of an image, as JSON."""
    if wrong := status(answer, expected):
        return wrong
    found = json.loads(answer.content)
    different = [name for name, value in told.items() if found.get(name) != value]
    return f"the facts have another {', '.join(different)}" if different else None


def identified(answer: Answer) -> str | None:
    """What is wrong with an answer that tells the id of an image, as JSON, for those who ask by it next."""
    return None if isinstance(json.loads(answer.content)["image_id"], str) else "the image_id is no text"
