"""The service that is tested: an address that must answer before anything else is done."""

import http.client
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

_HEALTH = ("/v1/images/healthcheck", "/v1/transform/healthcheck")


class TargetDown(Exception):
    """The target does not answer, or not as an image service."""


def checked(url: str) -> str:
    """The base URL, without a slash at its end."""
    what = f"{url!r} is no target: give scheme, host and port alone, as http://127.0.0.1:8080"
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is read here: letters, or a number too high, raise
    except ValueError as error:
        raise TargetDown(f"{what} ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise TargetDown(what)
    return f"{parts.scheme}://{parts.netloc}"


def wait(url: str, seconds: float) -> None:
    """Wait until both services answer."""
    deadline = time.monotonic() + seconds
    for path in _HEALTH:
        while problem := _problem(url + path):
            if time.monotonic() >= deadline:
                raise TargetDown(f"the target {url} does not answer: {problem}")
            time.sleep(0.5)


def _problem(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return None
    except urllib.error.HTTPError as error:
        return f"{error.code} for {urlsplit(url).path}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except http.client.HTTPException as error:
        return f"what is there speaks no HTTP ({type(error).__name__})"
    except (OSError, UnicodeError) as error:  # a name that is none cannot be encoded
        return str(error)
