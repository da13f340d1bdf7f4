"""Settings of the transform service."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ByteSize, Field
from pydantic_settings import NoDecode

from service_kit.processes.cores import available_cores
from service_kit.settings import (
    MEBIBYTE,
    Bytes,
    CommonSettings,
    HostPattern,
    ServiceUrl,
    from_json,
    scratch_directory,
)


class TransformSettings(CommonSettings):
    """Settings from environment variables with the fields' names in upper case."""

    storage_url: ServiceUrl = Field("http://127.0.0.1:8081", description="URL of the storage service.")
    storage_seconds: float = Field(2, gt=0, description="Time limit for locating an image, in seconds.")
    spool_dir: Path = Field(
        scratch_directory("spool"), description="Folder for files that live no longer than one request."
    )
    source_cache_bytes: Bytes = Field(
        ByteSize(1024 * MEBIBYTE),
        ge=0,
        description="Size limit of the disk cache of originals from an object store. 0: no cache. Unused if blobs are"
        " files.",
    )
    source_cache_dir: Path | None = Field(
        None, description="Folder of that cache, which several processes may share; empty: `sources` in SPOOL_DIR."
    )
    renderers: int = Field(available_cores(), gt=0, description="Renderer processes.")
    render_queue: int = Field(128, gt=0, description="Renders that may wait in each of the two lanes.")
    render_queue_seconds: float = Field(
        0, ge=0, description="Longest estimated wait of a render, in seconds. 0: half of RENDER_SECONDS."
    )
    render_seconds: float = Field(10, gt=0, description="Time limit for a render, including its wait, in seconds.")
    render_memory_bytes: Bytes = Field(
        ByteSize(0),
        ge=0,
        description="Limit on the estimated memory of all renders, such as `2GiB`. 0: 65 % of the available memory.",
    )
    renderer_jobs: int = Field(1000, gt=0, description="Renders after which a renderer is replaced.")
    max_operations: int = Field(20, gt=0, description="Limit on the operations of a chain.")
    presets: Annotated[dict[str, str], NoDecode, from_json('{"avatar": "resize=64x64,cover"}')] = Field(
        {}, description='Presets, as JSON: `{"avatar": "resize=64x64,cover"}`.'
    )
    variants: Literal["any", "listed", "signed"] = Field(
        "any",
        description="Variants that need no key and no signed URL: `any`; `listed`, those of WIDTHS and PRESETS only;"
        " or `signed`, none. It has no effect where no keys are required.",
    )
    widths: Annotated[frozenset[int], NoDecode, from_json("[320, 640, 1280]")] = Field(
        frozenset(), description="Widths that `VARIANTS=listed` allows for `thumb`, `w` and `width`, as a JSON list."
    )
    max_output_side: int = Field(
        16_383, gt=0, description="Limit on the longer side of an output, in pixels. WebP allows no more than 16383."
    )
    result_cache_url: str = Field(
        "memory://",
        description="`memory://` for a cache in the process, or `redis://user:password@host:port/db` (TLS: `rediss://`)"
        " for one that all transform nodes share.",
    )
    result_cache_password_file: Path | None = Field(
        None, description="File with the password of Redis. Unused if RESULT_CACHE_URL has a password."
    )
    cache_key: str = Field(
        "",
        repr=False,
        description="Secret of at least 32 characters that seals everything in Redis, the same for all transform nodes."
        " Required with Redis, unless CACHE_KEY_FILE is set.",
    )
    cache_key_file: Path | None = Field(None, description="File with that secret.")
    blob_hosts: Annotated[tuple[str, ...], NoDecode, from_json('["minio:9000"]')] = Field(
        (),
        description="Hosts, with their port if it is not the default, that signed URLs of the object store in BLOB_URL"
        " may have, as a JSON list. Empty: those that BLOB_URL, or the store's own variable (`AWS_ENDPOINT`,"
        " `AZURE_STORAGE_ENDPOINT`, `AZURE_STORAGE_ACCOUNT_NAME`) names.",
    )
    result_cache_bytes: Bytes = Field(
        ByteSize(64 * MEBIBYTE), ge=0, description="Size limit of a `memory://` cache. 0: no cache."
    )
    result_cache_entry_bytes: Bytes = Field(ByteSize(MEBIBYTE), gt=0, description="Size limit of a cached result.")
    remote_seconds: float = Field(
        5, gt=0, description="Time limit for fetching a remote source, including redirects, in seconds."
    )
    remote_fetches: int = Field(64, gt=0, description="Remote sources fetched at once; more are refused with 503.")
    remote_redirects: int = Field(3, ge=0, description="Limit on the redirects of a remote source.")
    remote_allowed_hosts: Annotated[frozenset[HostPattern], NoDecode, from_json('["images.example.com"]')] = Field(
        frozenset(),
        description='Hosts whose images everybody may transform (`url=`), as a JSON list, such as `["*.example.com"]`.'
        " Where keys are required, other hosts require a key or a signed URL.",
    )
    remote_ports: Annotated[frozenset[int], NoDecode, from_json("[80, 443]")] = Field(
        frozenset({80, 443}), description="Ports of remote sources, as a JSON list."
    )
    remote_allowed_networks: Annotated[
        tuple[IPv4Network | IPv6Network, ...], NoDecode, from_json('["10.1.0.0/16"]')
    ] = Field((), description="Private networks that remote sources may be in, as a JSON list.")
    transform_host: str = Field("0.0.0.0", description="Address that `python -m transform_service` listens on.")  # noqa: S104
    transform_port: int = Field(8082, ge=0, le=65535, description="Port that `python -m transform_service` listens on.")
