"""What all users of the load test have in common: a client that checks every answer."""

import functools
import json
import random
from collections.abc import Callable
from typing import Any

from locust import FastHttpUser

from loadtests import checks, corpus
from loadtests.settings import Settings

Check = Callable[[checks.Answer], str | None]


class Visitor(FastHttpUser):
    """A user with its own random choices."""

    abstract = True
    role = ""
    """The group of its requests."""
    connection_timeout = 5.0
    network_timeout = 30.0
    """Longer than anything takes in the service, so a slower answer is an error."""
    entries: tuple[corpus.Entry, ...] = ()
    """The images of the target."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.chance = random.Random()  # noqa: S311  # traffic needs no secrets

    def ask(self, method: str, path: str, kind: str, check: Check, **options: Any) -> checks.Answer | None:
        """Send a request and count it as this kind; returns the answer if it is right."""
        with self.client.request(method, path, name=f"{self.role} {kind}", catch_response=True, **options) as answer:
            if problem := checks.problem(answer, check):
                answer.failure(problem)
                return None
            answer.success()
            return answer  # type: ignore[no-any-return]

    def upload(self, check: Check, **body: Any) -> str | None:
        """Upload an image; returns its image ID."""
        answer = self.ask("POST", "/v1/images", "upload", lambda a: check(a) or checks.identified(a), **body)
        return None if answer is None else json.loads(answer.content)["image_id"]

    def delete(self, image_id: str) -> bool:
        """Delete an image; returns whether that worked."""
        return self.ask("DELETE", f"/v1/images/{image_id}", "delete", lambda a: checks.status(a, 204)) is not None


def form(field: str, value: bytes, filename: str = "") -> dict[str, Any]:
    """Body and headers of a form with one field. With a filename, the field is a file."""
    name = f'; filename="{filename}"' if filename else ""
    head = f'--loadtest\r\nContent-Disposition: form-data; name="{field}"{name}\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=loadtest"}
    return {"data": head.encode() + value + b"\r\n--loadtest--\r\n", "headers": headers}


@functools.cache
def uploads() -> list[tuple[bytes, corpus.Entry]]:
    """Files that may be uploaded again, with their facts: the smaller half of the corpus, at most 20."""
    there = sorted((entry for entry in Visitor.entries if entry.file.is_file()), key=lambda entry: entry.bytes)
    return [(entry.file.read_bytes(), entry) for entry in there[: max(1, len(there) // 2)][:20]]


def prepare(settings: Settings) -> None:
    """Give all visitors their images. Without images or photos, end the program."""
    Visitor.entries = tuple(corpus.load(settings.corpus))
    if not Visitor.entries:
        raise SystemExit(
            "there are no images to request: LOADTEST_CORPUS is not a file that `python -m loadtests` wrote"
        )
    if not uploads():
        raise SystemExit(f"there are no photos to upload: copy them into the folder of {settings.corpus}")
