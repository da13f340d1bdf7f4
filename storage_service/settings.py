"""Configuration of the storage service."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from service_kit.settings import Limits, from_json


class StorageSettings(Limits):
    """Read from environment variables of the fields' names in upper case."""

    data_dir: Path = Field(
        Path("var"), description="Folder for the database and the blobs where no URL says otherwise."
    )
    database_url: str = Field(
        "", description="`postgresql://user:password@host/name` or `sqlite:///path`; empty: SQLite in DATA_DIR."
    )
    database_password_file: Path | None = Field(
        None, description="A file with the database password, instead of one in DATABASE_URL."
    )
    database_pool: int = Field(10, gt=0, description="PostgreSQL connections of one process that answer questions.")
    database_lock_pool: int = Field(
        10, gt=0, description="PostgreSQL connections of one process that uploads hold while their bytes are stored."
    )
    blob_url: str = Field(
        "",
        description="`file:///path`, `s3://bucket/prefix`, `gs://…`, `az://…` or `memory://`; empty: files in DATA_DIR."
        " Credentials come from the store's own environment variables (`AWS_ACCESS_KEY_ID` …).",
    )
    accel_prefix: str = Field(
        "",
        description="Path under which an nginx in front sends the files of BLOB_URL itself (`X-Accel-Redirect`);"
        " empty: this service sends them.",
    )
    purge_urls: Annotated[tuple[str, ...], NoDecode, from_json('["http://varnish:8081"]')] = Field(
        (), description="Caches that are told of deletions, as a JSON list: each address of each is sent `PURGE`."
    )
    validators: int = Field(1, gt=0, description="Processes that read the headers of uploads.")
    validation_queue: int = Field(256, gt=0, description="Uploads that may wait for a validator; more are refused.")
    validation_seconds: float = Field(5, gt=0, description="Seconds to read one header.")
    sweep_seconds: float = Field(
        86400, gt=0, description="Seconds between sweeps, and the age from which a blob without an image is removed."
    )
    storage_host: str = Field("0.0.0.0", description="Address of `python -m storage_service`.")  # noqa: S104
    storage_port: int = Field(8081, ge=0, description="Port of `python -m storage_service`.")

    @field_validator("purge_urls")
    @classmethod
    def _are_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError(f"{url!r} is no URL of a cache; write it as http://varnish:8081")
        return urls

    @field_validator("accel_prefix")
    @classmethod
    def _is_a_folder(cls, prefix: str) -> str:
        if prefix and not re.fullmatch("/(?:[^?#% ]*/)?", prefix):
            raise ValueError("write it with a slash in front and behind, as /originals/")
        return prefix

    @cached_property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{quote(str(self.data_dir.resolve()))}/images.sqlite3"

    @cached_property
    def blobs(self) -> str:
        """The blob URL in force."""
        return self.blob_url or f"file://{quote(str(self.data_dir.resolve()))}/blobs"
