"""The service that is tested: its address must answer before anything else is done."""

import time
from urllib.parse import urlsplit

from measuring.client import ask

_HEALTH = ("/v1/images/healthcheck", "/v1/transform/healthcheck")


class TargetDown(Exception):
    """The target does not answer, or not like an image service."""


def checked(url: str) -> str:
    """The base URL without a slash at its end."""
    what = f"{url!r} is not a target; give only scheme, host and port, such as http://127.0.0.1:8080"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for letters, and for a number that is too high
    except ValueError as error:
        raise TargetDown(f"{what} ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise TargetDown(what)
    return f"{parts.scheme}://{parts.netloc}"


def wait(url: str, seconds: float) -> None:
    """Wait until both services answer."""
    deadline = time.monotonic() + seconds
    for path in _HEALTH:
        while not (answer := ask(url + path, seconds=5)).ok:
            if time.monotonic() >= deadline:
                problem = answer.error or f"{answer.status} for {path}"
                raise TargetDown(f"the target {url} does not answer: {problem}")
            time.sleep(0.5)
