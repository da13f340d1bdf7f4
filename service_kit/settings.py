"""The limits that both services hold to; each service's own settings build on them."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service_kit.logging import LogFormat


class Limits(BaseSettings):
    """Limits on what is taken in, from environment variables of the fields' names in upper case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    max_upload_bytes: int = Field(64 * 1024**2, gt=0, description="Bytes of one upload or remote source.")
    upload_seconds: float = Field(300, gt=0, description="Seconds for the whole body of an upload to come.")
    max_pixels: int = Field(100_000_000, gt=0, description="Pixels of an image, its frames summed.")
    max_frames: int = Field(100, gt=0, description="Frames of an animated image, or pages of a TIFF.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_format: LogFormat = Field(
        "text", description="`text`, or `json`: one object a line, with the request's id. The containers say json."
    )


def from_json(example: str) -> BeforeValidator:
    """Reads a setting's text as JSON; to be used with pydantic-settings' NoDecode, whose own error names no value."""

    def parse(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            read = json.loads(value)
        except ValueError:
            read = None
        if not isinstance(read, type(json.loads(example))):
            raise ValueError(f"write it as JSON, as in {example}")  # noqa: TRY004  # pydantic wants this one
        return read

    return BeforeValidator(parse)


def scratch_directory(name: str) -> Path:
    """A default folder for short-lived files, one a user; see Spool for whom it must belong to."""
    return Path(tempfile.gettempdir()) / f"imgsvc-{os.getuid()}-{name}"


def explain(error: ValidationError) -> Iterator[str]:
    """One line for each setting that cannot be used: its name, its value, and what is wrong with it."""
    told = set()
    for problem in error.errors():
        name = str(problem["loc"][0]).upper()
        if name not in told:  # of several types that a value might have, each complains
            told.add(name)
            item = f"[{problem['loc'][1]!r}]" if len(problem["loc"]) > 1 else ""
            yield f"{name}{item}={problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}"
