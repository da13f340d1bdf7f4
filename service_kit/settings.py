"""The limits that both services hold to; each service's own settings build on them."""

import json
import os
import tempfile
from pathlib import Path

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Limits(BaseSettings):
    """Limits on what is taken in, from environment variables of the fields' names in upper case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    max_upload_bytes: int = Field(64 * 1024**2, gt=0, description="Bytes of one upload or remote source.")
    upload_seconds: float = Field(300, gt=0, description="Seconds for the whole body of an upload to come.")
    max_pixels: int = Field(100_000_000, gt=0, description="Pixels of an image, its frames summed.")
    max_frames: int = Field(100, gt=0, description="Frames of an animated image, or pages of a TIFF.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")


def from_json(example: str) -> BeforeValidator:
    """Reads a setting's text as JSON; to be used with pydantic-settings' NoDecode, whose own error names no value."""

    def parse(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError(f"write it as JSON, as in {example}") from None

    return BeforeValidator(parse)


def scratch_directory(name: str) -> Path:
    """A default folder for short-lived files, one a user; see Spool for whom it must belong to."""
    return Path(tempfile.gettempdir()) / f"imgsvc-{os.getuid()}-{name}"
