"""How the services log: one line an event, on standard error, with the id of the request that it is about."""

import logging
from contextvars import ContextVar
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

LogFormat = Literal["text", "json"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being handled; empty outside of any."""

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_FIELDS = "%(asctime)s %(levelname)s %(name)s %(request_id)s %(message)s"
_NAMES = {"asctime": "time", "levelname": "level", "name": "logger"}


def configure_logging(level: str, style: LogFormat = "text") -> None:
    """Log from `level` up; called once by a program, never by a library."""
    handler = logging.StreamHandler()
    handler.addFilter(_add_request_id)
    handler.setFormatter(
        JsonFormatter(_FIELDS, rename_fields=_NAMES, datefmt="%Y-%m-%dT%H:%M:%S%z")
        if style == "json"
        else logging.Formatter(_TEXT)
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _add_request_id(record: logging.LogRecord) -> bool:
    if not hasattr(record, "request_id"):
        record.request_id = request_id.get()
    return True
