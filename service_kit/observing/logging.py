"""Logging to standard error: one line per event, with the ID of its request."""

import functools
import json
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from contextvars import ContextVar
from typing import Literal, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

LogFormat = Literal["text", "json"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The ID of the request that is being handled; empty outside of a request."""

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logging(level: str, style: LogFormat = "text") -> None:
    """Log events of `level` and above. Call this once, when a program starts."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if style == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Do not look up the calling code, which no line shows (see "Optimization" in Python's logging HOWTO).
    logging._srcfile = None  # noqa: SLF001


class Event(NamedTuple):
    """A line of the log: a time (seconds since 1970), a message for people, and fields for programs."""

    at: float
    message: str
    fields: Mapping[str, object]


def log_events(logger: logging.Logger, events: Iterable[Event]) -> None:
    """Log events at INFO, one line each, in a single write. Only JSON lines include the fields.

    Skips LogRecords, which would take as long as everything else together (docs/adr/0018).
    """
    handler = logging.root.handlers[0] if logging.root.handlers else None
    if isinstance(handler, logging.StreamHandler) and isinstance(handler.formatter, _JsonLines):
        lines = [_line("INFO", logger.name, *event) + handler.terminator for event in events]
        with handler.lock or nullcontext(), suppress(OSError, ValueError):  # lines are lost if the disk is full
            handler.stream.write("".join(lines))
            handler.stream.flush()
    else:
        for event in events:
            logger.info("%s", event.message)


class _JsonLines(logging.Formatter):
    """One JSON object per line. python-json-logger takes three times as long (docs/adr/0018)."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        failure = {"exc_info": self.formatException(record.exc_info)} if record.exc_info else {}
        return _line(record.levelname, record.name, record.created, record.getMessage(), failure)


def _line(level: str, logger: str, at: float, message: str, fields: Mapping[str, object]) -> str:
    line = {
        "time": _time(int(at)),
        "level": level,
        "logger": logger,
        "request_id": request_id.get(),
        "message": message,
        **fields,
    }
    try:
        return to_json(line, ensure_ascii=True, fallback=str).decode()
    except PydanticSerializationError:  # clients may send half a surrogate pair, which UTF-8 cannot encode
        return json.dumps(line, default=str)


@functools.lru_cache(maxsize=1)
def _time(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(second))
