"""What all users of the load test are: a client that judges each answer."""

import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from locust import FastHttpUser

from loadtests import checks, corpus, settings

Check = Callable[[checks.Answer], str | None]


class Visitor(FastHttpUser):
    """A user with chances of its own. The target's images are in `entries`."""

    abstract = True
    role = ""
    """The group that its requests are counted in."""
    connection_timeout = 5.0
    network_timeout = 30.0
    """Longer than the service takes for anything: what is slower is an error."""
    entries: tuple[corpus.Entry, ...] = ()

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.chance = random.Random()  # noqa: S311  # traffic is no secret

    def ask(self, method: str, path: str, name: str, check: Check, **options: Any) -> checks.Answer | None:
        """The answer of a request, where it is as it should be; counted under `name` in any case."""
        with self.client.request(method, path, name=name, catch_response=True, **options) as answer:
            if problem := checks.problem(answer, check):
                answer.failure(problem)
                return None
            answer.success()
            return answer  # type: ignore[no-any-return]


def form(field: str, value: bytes, filename: str = "") -> dict[str, Any]:
    """Body and headers of a form with one field; a file, where it has a name."""
    name = f'; filename="{filename}"' if filename else ""
    head = f'--loadtest\r\nContent-Disposition: form-data; name="{field}"{name}\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=loadtest"}
    return {"data": head.encode() + value + b"\r\n--loadtest--\r\n", "headers": headers}


@functools.cache
def uploads() -> list[tuple[bytes, corpus.Entry]]:
    """Files that may be uploaded again, the smaller half of the corpus, with what is known of them."""
    there = [entry for entry in Visitor.entries if Path(entry.file).is_file()]
    return [
        (Path(e.file).read_bytes(), e) for e in sorted(there, key=lambda e: e.bytes)[: max(1, len(there) // 2)][:20]
    ]


def prepare(chosen: settings.Settings) -> None:
    """Give all visitors their images; ends the program where there are none, or no photo to upload."""
    Visitor.entries = tuple(corpus.load(chosen.corpus))
    if not Visitor.entries:
        raise SystemExit("there is no image to ask for: LOADTEST_CORPUS names no file that `python -m loadtests` wrote")
    if not any(Path(entry.file).is_file() for entry in Visitor.entries):
        raise SystemExit(f"there is no photo to upload: copy those beside {chosen.corpus}, too")
