"""Settings of the storage service."""

import json
import re
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import ByteSize, Field, field_validator
from pydantic_settings import NoDecode

from service_kit.settings import MEBIBYTE, Bytes, CommonSettings, from_json

_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")


class StorageSettings(CommonSettings):
    """Settings from environment variables with the fields' names in upper case."""

    data_dir: Path = Field(
        Path("var"),
        description="Folder for the database and the blobs, unless DATABASE_URL and BLOB_URL say otherwise.",
    )
    database_url: str = Field(
        "",
        description="`postgresql://user:password@host/name` or `sqlite:///path`; empty: SQLite in DATA_DIR. Of several"
        " PostgreSQL servers (`host1:5432,host2:5433`), the one that takes writes is used.",
    )
    database_password_file: Path | None = Field(
        None, description="File with the database password. Unused if DATABASE_URL has a password."
    )
    database_pool: int = Field(10, gt=0, description="PostgreSQL connections per process for queries.")
    database_lock_pool: int = Field(
        10,
        gt=0,
        description="PostgreSQL connections per process for uploads. Each upload holds one while its bytes are stored.",
    )
    database_prepared_statements: bool = Field(
        True,
        description="`false` for PgBouncer, or another pooler, that runs each transaction on another connection of"
        " PostgreSQL.",
    )
    path_prefix: str = Field(
        "",
        description="Path below which clients reach the service, such as `/images-api`: links have it, and"
        " `imgsvc serve` expects it. In containers, set it in `.env`, where Varnish reads it too.",
    )
    purge_urls: Annotated[tuple[str, ...], NoDecode, from_json('["http://varnish:8081"]')] = Field(
        (), description="Caches to purge after deletions, as a JSON list. Every address of each host gets the request."
    )
    purge_hook_url: str = Field(
        "",
        description="URL that tells a CDN to remove an image, requested after deletions until it answers 2xx."
        " `{key}` is replaced by the surrogate key and `{image_id}` by the ID; empty: none.",
    )
    purge_hook_method: Literal["DELETE", "GET", "POST", "PURGE", "PUT"] = Field(
        "POST", description="Method of that request: `DELETE`, `GET`, `POST`, `PURGE` or `PUT`."
    )
    purge_hook_body: str = Field(
        "", description='JSON body of that request, with the same placeholders, such as `{"tags": ["{key}"]}`.'
    )
    purge_hook_token_file: Path | None = Field(None, description="File with the token of that request.")
    purge_hook_token_header: str = Field(
        "Authorization",
        pattern="^[A-Za-z0-9-]+$",
        description="Header of that token. In `Authorization`, it is a bearer token.",
    )
    access_secret_file: Path | None = Field(
        None,
        description="File with a secret of at least 32 characters, from which signing secrets are derived. Required"
        " with PostgreSQL where keys are required; otherwise it is created in DATA_DIR.",
    )
    default_visibility: Literal["public", "private", "pending"] = Field(
        "public",
        description="Visibility of uploads that do not say it: `public`, `private` or `pending`. With `pending`, only"
        " keys with the scope `moderate` may say anything else.",
    )
    webhook_allowed_networks: Annotated[
        tuple[IPv4Network | IPv6Network, ...], NoDecode, from_json('["10.1.0.0/16"]')
    ] = Field((), description="Private networks that receivers of webhooks may be in, as a JSON list.")
    audit_entries: int = Field(100_000, gt=0, description="Entries that the audit trail keeps; older ones are removed.")
    level_bytes: Bytes = Field(
        ByteSize(10 * 1024 * MEBIBYTE),
        ge=0,
        description="Size limit of levels: smaller copies of images in BLOB_URL, from which renders start. 0: none.",
    )
    variant_bytes: Bytes = Field(
        ByteSize(10 * 1024 * MEBIBYTE),
        ge=0,
        description="Size limit of stored variants in BLOB_URL: those that are precomputed (`imgsvc precompute`), and"
        " those that are rendered again and again. 0: none.",
    )
    precompute_automatically: bool = Field(
        False,
        description="Whether the service chooses by itself which chains to precompute, from what viewers request.",
    )
    precompute_cpu: float = Field(
        0.25, gt=0, le=64, description="Cores that variants and looks of earlier images may take, such as 0.25."
    )
    validators: int = Field(1, gt=0, description="Validator processes, which read the headers of uploads.")
    validation_queue: int = Field(256, gt=0, description="Uploads that may wait for a validator; more are refused.")
    validation_seconds: float = Field(5, gt=0, description="Time limit for reading a header, in seconds.")
    sweep_seconds: float = Field(
        86400,
        gt=0,
        description="Interval between sweeps, and the age at which they remove a blob without an image, in seconds.",
    )
    storage_host: str = Field("0.0.0.0", description="Address that `python -m storage_service` listens on.")  # noqa: S104
    storage_port: int = Field(8081, ge=0, le=65535, description="Port that `python -m storage_service` listens on.")

    @field_validator("purge_urls")
    @classmethod
    def _are_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError(f"{url!r} is not the URL of a cache; write it as http://varnish:8081")
        return urls

    @field_validator("purge_hook_url")
    @classmethod
    def _names_a_host(cls, url: str) -> str:
        """Refuse placeholders in the host: the address must not depend on a request."""
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https"} or not parts.hostname or set("{}") & set(parts.netloc)):
            raise ValueError("write it as a URL with a fixed host, such as https://api.example.com/purge/{key}")
        return url

    @field_validator("purge_hook_body")
    @classmethod
    def _is_json(cls, body: str) -> str:
        try:
            if body:
                json.loads(body)
        except ValueError:
            raise ValueError('write it as JSON, such as {"tags": ["{key}"]}') from None
        return body

    @field_validator("path_prefix")
    @classmethod
    def _is_a_path(cls, prefix: str) -> str:
        if prefix and not _PREFIX.fullmatch(prefix):
            raise ValueError("write it with a slash in front and none at the end, such as /images-api")
        return prefix

    @cached_property
    def link_base(self) -> str:
        """What links begin with: PUBLIC_URL, and PATH_PREFIX unless PUBLIC_URL has it."""
        return self.public_url if self.public_url.endswith(self.path_prefix) else self.public_url + self.path_prefix

    @cached_property
    def database(self) -> str:
        """The effective database URL."""
        return self.database_url or f"sqlite:///{quote(str(self.data_dir.resolve()))}/images.sqlite3"

    @cached_property
    def blobs(self) -> str:
        """The effective blob URL."""
        return self.blob_url or f"file://{quote(str(self.data_dir.resolve()))}/blobs"
