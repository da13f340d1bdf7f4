"""The settings of the services, and how environment variables become settings."""

import json
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service_kit.cache_control import CacheControl, Caching, KeyHeader
from service_kit.errors import CannotStart
from service_kit.invalid import reason
from service_kit.observing.logging import LogFormat
from service_kit.processes.sandbox import Sandbox

Settings = TypeVar("Settings", bound=BaseSettings)

MEBIBYTE = 1024**2
_BYTES = re.compile(r"\s*[\d_]*\.?\d[\d_]*\s*[a-z]*\s*", re.IGNORECASE)
_BASE = re.compile(r"https?://(?:(?![@?#])[!-~])+")
_HOST_PATTERN = re.compile(r"\*|(?:\*\.)?[\w-]+(?:\.[\w-]+)*|\[[0-9a-f:]+\]", re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/?#@\s]+/?", re.IGNORECASE)
_SHORTEST = 6
"""Shorter variables are never misspelt settings: HOST and PORT are one letter away from too many others."""


def _whole_size(text: object) -> object:
    """Refuse text that ByteSize would read only in part: it takes `10,5MB` for 10 bytes."""
    if isinstance(text, str) and not _BYTES.fullmatch(text):
        raise ValueError("write a number of bytes, with or without a unit, such as 67108864, 64MiB or 100MB")
    return text


Bytes = Annotated[ByteSize, BeforeValidator(_whole_size)]
"""A number of bytes, such as 67108864, 64MiB or 100MB."""


def from_json(example: str) -> BeforeValidator:
    """Parse a setting as JSON of the same type as `example`.

    Use it with NoDecode: pydantic-settings would parse JSON too, but its error does not show the value.
    """

    def parse(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = None
        if not isinstance(parsed, type(json.loads(example))):
            raise ValueError(f"write it as JSON, such as {example}")  # noqa: TRY004  # pydantic expects this one
        return parsed

    return BeforeValidator(parse)


def _is_a_host_pattern(text: str) -> str:
    if not _HOST_PATTERN.fullmatch(text):
        raise ValueError(
            f"{text[:64]!r} is not the name of a host; leave out the scheme and the port, as in images.example.com or"
            " *.example.com"
        )
    return text.lower()


HostPattern = Annotated[str, AfterValidator(_is_a_host_pattern)]
"""A host name or address in lower case, `*.` and a domain for all names directly below it, or `*` for all."""


def _is_an_origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError(f"{text[:64]!r} is not an origin; write it with a scheme, as in https://app.example.com")
    return text.rstrip("/").lower()


Origin = Annotated[str, AfterValidator(_is_an_origin)]
"""The origin of web pages in lower case, or `*` for all."""


def _is_a_service(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write it as a URL, such as http://storage:8081")
    return url


ServiceUrl = Annotated[str, AfterValidator(_is_a_service)]
"""The URL of another service."""


class CommonSettings(BaseSettings):
    """Settings of all services, from environment variables with the fields' names in upper case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    max_upload_bytes: Bytes = Field(
        ByteSize(64 * MEBIBYTE), gt=0, description="Size limit of an upload or a remote source, such as `64MiB`."
    )
    blob_url: str = Field(
        "",
        description="`file:///path`, `s3://bucket/prefix`, `gs://…`, `az://…` or `memory://`; empty: files in DATA_DIR."
        " Credentials are the store's own environment variables (`AWS_ACCESS_KEY_ID`, …). The transform service accepts"
        " no image from anywhere else; it needs this setting only with Redis.",
    )
    accel_prefix: str = Field(
        "",
        description="URL path under which an nginx in front sends the files of BLOB_URL (`X-Accel-Redirect`);"
        " empty: the service sends them itself.",
    )
    blob_seconds: float = Field(
        5,
        gt=0,
        description="Time limit for an object store to answer, and for fetching an original from it, in seconds."
        " Storing an upload there may take five times as long.",
    )
    upload_seconds: float = Field(300, gt=0, description="Time limit for receiving an upload, in seconds.")
    upload_stall_seconds: float = Field(
        30, gt=0, description="Time for which an upload may pause, or arrive at less than 1 KiB per second, in seconds."
    )
    header_seconds: float = Field(10, gt=0, description="Time limit for the headers of a request, in seconds.")
    send_stall_seconds: float = Field(
        30, gt=0, description="Time for which a client may read less than 1 KiB per second, in seconds."
    )
    keepalive_seconds: float = Field(
        75, gt=0, description="Time for which an idle connection stays open, in seconds; more than that of a proxy."
    )
    grace_seconds: float = Field(
        300,
        gt=0,
        description="Time for requests in progress to finish when the service stops, in seconds. It is over as soon as"
        " they have finished.",
    )
    max_connections: int = Field(
        2000,
        gt=0,
        description="Limit on the connections of a process. Beyond it, one that is idle or has sent no complete headers"
        " is closed for each new one. If there is none, 32 more get 503, except for health checks and `/metrics`, and"
        " others are closed. Three quarters of the connections may be uploads.",
    )
    original_cache_control: CacheControl = Field(
        "public, max-age=31536000, immutable", description="`Cache-Control` of originals. Varnish does not follow it."
    )
    original_cdn_cache_control: CacheControl = Field(
        "",
        description="`CDN-Cache-Control` of originals (RFC 9213), which CDNs prefer to `Cache-Control`; empty: none.",
    )
    variant_cache_control: CacheControl = Field(
        "public, max-age=31536000, immutable",
        description="`Cache-Control` of variants of stored images. Varnish does not follow it.",
    )
    variant_cdn_cache_control: CacheControl = Field(
        "", description="`CDN-Cache-Control` of variants of stored images; empty: none."
    )
    surrogate_key_header: KeyHeader = Field(
        "",
        description="Header that tells a CDN which images a response shows: `Surrogate-Key` (keys separated by spaces),"
        " `Cache-Tag` or `Edge-Cache-Tag` (by commas). The key of an image is `image-` and its ID. Empty: none.",
    )
    max_pixels: int = Field(100_000_000, gt=0, description="Pixel limit of an image, all frames together.")
    max_input_side: int = Field(32_768, gt=0, description="Limit on the longer side of an image, in pixels.")
    max_frames: int = Field(100, gt=0, description="Frame limit of an animation, and page limit of a TIFF.")
    sandbox: Sandbox = Field(
        "auto",
        description="Sandbox of the processes that decode images: `auto` uses what the kernel has, `required` refuses"
        " to start without all of it, `off` is for debugging.",
    )
    auth: Literal["auto", "keys", "open"] = Field(
        "auto",
        description="Who may do what: `auto` requires keys unless only this machine reaches the service (HOST, PUBLISH,"
        " PUBLIC_URL, ALLOWED_HOSTS); `keys` requires them always; `open` lets everybody do everything.",
    )
    publish: str = Field(
        "0.0.0.0",  # noqa: S104
        description="Address at which containers are published, such as `127.0.0.1:8080`. docker-compose.yml sets it.",
    )
    public_url: str = Field(
        "",
        description="URL of the service as clients see it, such as `https://images.example.com`, for absolute links in"
        " responses (`Location`, `url`, `links`); empty: links are paths.",
    )
    allowed_hosts: Annotated[tuple[HostPattern, ...], NoDecode, from_json('["images.example.com"]')] = Field(
        (),
        description='Names in `Host` that the API answers, as a JSON list, such as `["*.example.com"]`; empty: any,'
        " or those of this machine if no keys are required.",
    )
    allowed_origins: Annotated[tuple[Origin, ...], NoDecode, from_json('["https://example.com"]')] = Field(
        (),
        description='Origins of web pages that may list, describe, upload and delete, as a JSON list; `["*"]`: all.'
        " Pages of every origin may show pictures.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="`DEBUG`, `INFO`, `WARNING` or `ERROR`."
    )
    log_format: LogFormat = Field(
        "text",
        description="`text`, or `json` for one object per line, with the request ID. The containers use `json`.",
    )

    @field_validator("public_url")
    @classmethod
    def _is_a_base(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (not _BASE.fullmatch(url) or not parts.hostname or parts.port == 0):
            raise ValueError("write it as a URL without a user and a query, such as https://images.example.com")
        return url.rstrip("/")

    @field_validator("accel_prefix")
    @classmethod
    def _is_a_folder(cls, prefix: str) -> str:
        if prefix and not re.fullmatch("/(?:[^?#% ]*/)?", prefix):
            raise ValueError("write it with a slash at both ends, such as /originals/")
        return prefix

    @property
    def blob_folder(self) -> Path | None:
        """The folder that BLOB_URL names, if it does."""
        parts = urlsplit(self.blob_url)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None

    @property
    def original_caching(self) -> Caching:
        """What originals say to caches."""
        lifetimes = self.original_cache_control, self.original_cdn_cache_control
        return Caching(*lifetimes, self.surrogate_key_header, immutable=True)

    @property
    def variant_caching(self) -> Caching:
        """What variants of stored images say to caches."""
        lifetimes = self.variant_cache_control, self.variant_cdn_cache_control
        return Caching(*lifetimes, self.surrogate_key_header, immutable=True)


def read_settings(*classes: type[Settings]) -> list[Settings]:
    """Read one instance of each class from the environment.

    Raises CannotStart with one line for each variable that is invalid or looks like a misspelt setting.
    """
    problems = [*_misspelt(os.environ, {name.upper() for cls in classes for name in cls.model_fields})]
    settings = []
    for cls in classes:
        try:
            settings.append(cls())
        except ValidationError as error:
            problems += _invalid(error)
    if problems:
        raise CannotStart("\n".join(dict.fromkeys(problems)))
    return settings


def secret_in(setting: str, file: Path | None) -> str | None:
    """The secret in the file that `setting` names, without white space around it; None if it names none.

    Raises CannotStart if the file is unreadable or empty.
    """
    if file is None:
        return None
    try:
        secret = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise CannotStart(f"cannot read {setting} {file}: {reason}") from error
    if not secret:
        raise CannotStart(f"{setting} {file} is empty; write the secret into it")
    return secret


def scratch_directory(name: str) -> Path:
    """The default folder for short-lived files, one per user. Spool checks that the user owns it."""
    return Path(tempfile.gettempdir()) / f"imgsvc-{os.getuid()}-{name}"


def _misspelt(variables: Collection[str], known: Collection[str]) -> Iterator[str]:
    for name in variables:
        if len(name) >= _SHORTEST and name.upper() not in known:
            for meant in known:
                if _one_edit_apart(name.upper(), meant):
                    yield f"{name} is not a setting; did you mean {meant}?"


def _one_edit_apart(one: str, other: str) -> bool:
    """Whether a letter more, a letter less, another letter or two letters swapped make one text the other."""
    for _ in range(2):  # remove what they have in common: at the start, then at the end
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
        one, other = one[common:][::-1], other[common:][::-1]
    return max(len(one), len(other)) == 1 or (len(one) == len("ab") and one == other[::-1])


def _invalid(error: ValidationError) -> Iterator[str]:
    """One line for each invalid setting: name, value, and what is wrong."""
    named = set()
    for problem in error.errors():
        name = str(problem["loc"][0]).upper()
        if name not in named:  # a setting of several types has an error for each type
            named.add(name)
            item = f"[{problem['loc'][1]!r}]" if len(problem["loc"]) > 1 else ""
            colon = ":" if problem["type"] == "value_error" else ""  # such an error is a sentence of its own
            yield f"{name}{item}={problem['input']!r}{colon} {reason(problem)}"
