"""How the services log: one line an event, on standard error, with the id of the request that it is about."""

import functools
import json
import logging
import time
from contextvars import ContextVar
from typing import Literal

LogFormat = Literal["text", "json"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being handled; empty outside of any."""

FIELDS = "fields"
"""In the `extra` of a record: what a JSON line has beside the message, by name."""

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_encoded = json.JSONEncoder(default=str).encode


def configure_logging(level: str, style: LogFormat = "text") -> None:
    """Log from `level` up; called once by a program, never by a library."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if style == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # No line shows where it was logged (the "Optimization" of Python's logging HOWTO).
    logging._srcfile = None  # noqa: SLF001


class _JsonLines(logging.Formatter):
    """An object a line. Ours, since python-json-logger takes three times as long for one (ADR 17)."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line = {
            "time": _time(int(record.created)),
            "level": record.levelname,
            "logger": record.name,
            "request_id": request_id.get(),
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        return _encoded(line)


@functools.lru_cache(maxsize=1)
def _time(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(second))
