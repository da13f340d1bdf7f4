"""How commands fail: one sentence, and an exit code."""

import errno
import json
import re
import traceback
from typing import IO, Any

import click

DONE, FAILED, USAGE, NO_ANSWER, REFUSED, NOT_THERE, BUSY, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 4, 5, 6, 130, 141
EXIT_CODES = {
    DONE: "done",
    FAILED: "it failed, or some of several images did",
    USAGE: "wrong usage, settings or profile (`serve` ends with 1 whenever it cannot start)",
    NO_ANSWER: "the service does not respond; of commands next to it, the database or the blob store",
    REFUSED: "the service requires a key, or the key does not allow it (401, 403)",
    NOT_THERE: "the image does not exist, or was deleted (404, 410)",
    BUSY: "the service is busy or lacks its database, also after some attempts; try again later (429, 503)",
    INTERRUPTED: "Ctrl-C",
    BROKEN_PIPE: "the program that reads the output has ended, as in `imgsvc list | head -1`",
}
_SEND_KEY = re.compile(r"send (it|the key|a key[^;]*) as `Authorization: Bearer KEY`")
_CODES = {400: FAILED, 401: REFUSED, 403: REFUSED, 404: NOT_THERE, 410: NOT_THERE, 429: BUSY, 503: BUSY}


class Failure(click.ClickException):
    """A command cannot go on. The message says what to do."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print each line of the message with the name of the program in front."""
        complain(self.message)


def complain(message: str) -> None:
    """Print a message for people."""
    for line in message.splitlines():
        click.echo(f"imgsvc: {line}", err=True)


def failure(error: Exception, url: str = "") -> Failure:
    """What an error means for the person who ran the command. Raises it again if nobody has foreseen it."""
    from imgsvc_client import ApiError, ConnectionFailed  # noqa: PLC0415  # takes a moment, and not all need it

    if isinstance(error, Failure):
        return error
    if isinstance(error, ApiError):
        return _refusal(error, url)
    if isinstance(error, ConnectionFailed):
        return Failure(_no_answer(error, url), NO_ANSWER)
    return _other(error, url)


def _other(error: Exception, url: str) -> Failure:
    if isinstance(error, json.JSONDecodeError) or _is_in_client(error):
        return Failure(_not_imgsvc(url), NO_ANSWER)
    if isinstance(error, OSError):
        return Failure(_of_system(error))
    if type(error).__module__ == "sqlite3":
        return Failure(
            f"cannot write down what is done ({error}); make room in ~/.local/state and the temporary folder"
        )
    if isinstance(error, ValueError):
        return Failure(str(error), USAGE)
    raise error


def _is_in_client(error: Exception) -> bool:
    """Whether the client has not found in an answer what every imgsvc says."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return isinstance(error, KeyError | TypeError) and any("imgsvc_client" in frame.filename for frame in last)


def _refusal(error: Any, url: str) -> Failure:
    detail, code = error.detail, _CODES.get(error.status, FAILED)
    if detail.lstrip().startswith("<"):
        return Failure(_not_imgsvc(url), NO_ANSWER)
    if error.status == 401:  # noqa: PLR2004
        detail = _SEND_KEY.sub(_set_key, detail)
    elif code == REFUSED:
        detail += "; the key is that in IMGSVC_KEY, or of the profile"
    if code == BUSY and error.retry_after:
        detail = f"{detail.removesuffix('; retry later')}; try again in {error.retry_after:g} s"
    return Failure(detail, code)


def _set_key(advice: re.Match[str]) -> str:
    """What the service advises to those who write requests, for those who type commands."""
    scope = f", to {advice[1]}" if advice[1].startswith("a key") else ""
    return f"set IMGSVC_KEY, or `key` in a profile{scope}"


def _no_answer(error: Exception, url: str) -> str:
    why = reason(error.__cause__ or error)
    return f"{url or 'the service'} does not respond ({why}); start it, or name another one with --url or IMGSVC_URL"


_REASONS = {
    "Connection refused": "nothing listens there",
    "Name or service not known": "the host name is unknown",
    "Temporary failure in name resolution": "the host name is unknown",
    "No address associated": "the host name is unknown",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not valid for this name",
    "WRONG_VERSION_NUMBER": "it does not speak https; use http://",
    "timed out": "it takes too long",
}


def reason(error: BaseException) -> str:
    """Why a connection failed, in a few words."""
    return next((said for sign, said in _REASONS.items() if sign in str(error)), "the connection failed")


def _not_imgsvc(url: str) -> str:
    return f"{url or 'the URL'} is not an imgsvc: its answers are others; check --url, IMGSVC_URL and the profile"


def _of_system(error: OSError) -> str:
    what = f"{error.filename}: " if error.filename else ""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"{what}the disk is full; make room, and run the command again"
    return f"{what}{error.strerror or error}"
