"""Configuration of the transform service."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import NoDecode

from service_kit.cores import available_cores
from service_kit.settings import Limits, from_json, scratch_directory


class TransformSettings(Limits):
    """Read from environment variables of the fields' names in upper case."""

    storage_url: str = Field("http://127.0.0.1:8081", description="Where the storage service answers.")
    storage_seconds: float = Field(2, gt=0, description="Seconds to wait for the storage service's word on an image.")
    spool_dir: Path = Field(scratch_directory("spool"), description="Folder for files that live as long as a request.")
    renderers: int = Field(available_cores(), gt=0, description="Renderer processes; as many as cores that it may use.")
    render_queue: int = Field(128, gt=0, description="Renders that may wait in each of the two lanes.")
    render_queue_seconds: float = Field(
        0, ge=0, description="Seconds that a render may wait, as far as one can tell; 0: half of RENDER_SECONDS."
    )
    render_seconds: float = Field(10, gt=0, description="Seconds for one render, its wait in the queue included.")
    render_memory_bytes: int = Field(
        0, ge=0, description="Bytes for all renders together, by their estimates; 0: 65 % of the memory there is."
    )
    renderer_jobs: int = Field(1000, gt=0, description="Renders after which a renderer process is replaced.")
    max_operations: int = Field(20, gt=0, description="Operations of one chain.")
    presets: Annotated[dict[str, str], NoDecode, from_json('{"avatar": "resize=64x64,cover"}')] = Field(
        {}, description='Named chains, as JSON: `{"avatar": "resize=64x64,cover"}`.'
    )
    max_output_side: int = Field(8192, gt=0, description="Pixels of an output's longer side.")
    result_cache_url: str = Field(
        "memory://",
        description="`memory://`: in the process; `redis://user:password@host:port/db` or, encrypted, `rediss://…`:"
        " shared by all transform nodes.",
    )
    result_cache_bytes: int = Field(64 * 1024**2, ge=0, description="Bytes of results that `memory://` holds; 0: none.")
    result_cache_entry_bytes: int = Field(1024**2, gt=0, description="Larger results are not cached.")
    remote_seconds: float = Field(5, gt=0, description="Seconds to fetch a remote source, redirects included.")
    remote_fetches: int = Field(64, gt=0, description="Remote sources fetched at once; more are refused with 503.")
    remote_redirects: int = Field(3, ge=0, description="Redirects that are followed.")
    remote_ports: Annotated[frozenset[int], NoDecode, from_json("[80, 443]")] = Field(
        frozenset({80, 443}), description="Ports of remote sources, as a JSON list."
    )
    remote_allowed_networks: Annotated[
        tuple[IPv4Network | IPv6Network, ...], NoDecode, from_json('["10.1.0.0/16"]')
    ] = Field((), description="Networks that may be fetched from although they are not public, as a JSON list.")
    transform_host: str = Field("0.0.0.0", description="Address of `python -m transform_service`.")  # noqa: S104
    transform_port: int = Field(8082, ge=0, description="Port of `python -m transform_service`.")
