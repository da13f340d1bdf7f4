"""Where the bytes of stored images may be: below the folder, or in the bucket, that BLOB_URL names."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from imaging.levels import Level
from imaging.locator import Located
from service_kit.urls import parts_of, redacted
from transform_service.settings import TransformSettings

_PORTS = {"http": 80, "https": 443}
_S3 = r"s3(?:\.[a-z0-9-]+)?\.amazonaws\.com"
"""The hosts of S3 in all regions. Its buckets have different names all over the world."""
_AZURE = {"az", "azure", "abfs", "abfss"}
_ENDPOINTS = {
    **dict.fromkeys(("s3", "s3a"), ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")),
    **dict.fromkeys(_AZURE, ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")),
    "gs": ("GOOGLE_BASE_URL",),
}
"""The object stores' own variables for another server, by the scheme of BLOB_URL; see obstore."""
_ACCOUNTS = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_ACCOUNT_NAME")


@dataclass(frozen=True, slots=True)
class _Place:
    """The URLs with a host that matches a pattern, and a path that begins with `folder`."""

    schemes: tuple[str, ...]
    host: str
    port: int | None
    """None: the default of the scheme."""
    folder: str = "/"

    def has(self, parts: SplitResult) -> bool:
        default = _PORTS.get(parts.scheme)
        return (
            parts.scheme in self.schemes
            and re.fullmatch(self.host, parts.hostname or "") is not None
            and (parts.port or default) == (self.port or default)
            and unquote(parts.path).startswith(self.folder)
        )


class BlobPlaces:
    """The places that an answer about an image may name. Without BLOB_URL, any place is accepted."""

    def __init__(self, settings: TransformSettings) -> None:
        """Raises ValueError if BLOB_URL is missing although records are kept where others may write.

        Also if it is unclear which hosts the URLs of its object store have.
        """
        url = settings.blob_url
        if not url and urlsplit(settings.result_cache_url).scheme != "memory":
            raise ValueError(
                "RESULT_CACHE_URL names a Redis, in which others may write; set BLOB_URL as for the storage service, so"
                " that images are read from there only"
            )
        parts = parts_of("BLOB_URL", url) if url else urlsplit("")
        self._any = not url
        self._folder = Path(os.path.normpath(unquote(parts.path))) if parts.scheme == "file" else None
        # The storage service sends blobs itself if their store neither has files nor signs URLs.
        self._places = [_any_scheme("STORAGE_URL", settings.storage_url)]
        self._places += [_any_scheme("BLOB_HOSTS", f"//{host}") for host in settings.blob_hosts]
        if url and not settings.blob_hosts:
            self._places += _named(parts)

    def has(self, located: Located) -> bool:
        """Whether the image, and each of its levels and variants, is where images may be."""
        files = [variant.path for variant in located.variants or () if variant.path]
        return (
            self._has(located)
            and all(self._has(level) for level in located.levels or ())
            and (self._any or all(map(self._has_file, files)))
        )

    def has_url(self, url: str) -> bool:
        """Whether a URL leads to where images may be."""
        return self._any or self._has_url(url)

    def _has(self, located: Located | Level) -> bool:
        if (located.path is None) == (located.url is None):
            return False
        if self._any:
            return True
        return self._has_file(located.path) if located.path else self._has_url(located.url or "")

    def _has_file(self, path: Path) -> bool:
        return self._folder is not None and ".." not in path.parts and path.is_relative_to(self._folder)

    def _has_url(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            return False
        if parts.username is not None or ".." in unquote(parts.path).split("/"):
            return False
        return any(place.has(parts) for place in self._places)


def _any_scheme(setting: str, url: str) -> _Place:
    parts = parts_of(setting, url)
    if not parts.hostname:
        raise ValueError(f"{setting} has an entry without a host")
    return _Place(("http", "https"), re.escape(parts.hostname), parts.port)


def _named(parts: SplitResult) -> Iterator[_Place]:
    """The places that sign URLs for BLOB_URL, as it and the object stores' own variables name them."""
    endpoints = [os.environ[name] for name in _ENDPOINTS.get(parts.scheme, ()) if os.environ.get(name)]
    first = parts.path.strip("/").partition("/")[0]
    bucket = f"/{parts.netloc}/"
    if endpoints:
        for server in map(urlsplit, endpoints):
            yield _Place((server.scheme,), re.escape(server.hostname or ""), server.port)
    elif parts.scheme in {"s3", "s3a"}:
        yield _Place(("https",), _S3, None, bucket)
        yield _Place(("https",), rf"{re.escape(parts.netloc)}\.{_S3}", None)
    elif parts.scheme == "gs":
        yield _Place(("https",), r"storage\.googleapis\.com", None, bucket)
    elif parts.scheme in _AZURE:
        container, _, host = parts.netloc.rpartition("@")
        yield _Place(
            ("https",), re.escape(_azure_host(host if container else "", parts)), None, f"/{container or host}/"
        )
    elif parts.scheme in _PORTS:
        host = _signing_host(parts.hostname or "")
        yield _Place((parts.scheme,), re.escape(host), parts.port, unquote(f"/{first}/") if first else "/")


def _azure_host(named: str, parts: SplitResult) -> str:
    account = next((os.environ[name] for name in _ACCOUNTS if os.environ.get(name)), "")
    if not named and not account:
        raise ValueError(
            f"BLOB_URL={redacted(parts.geturl())!r} does not say which hosts its URLs have; set"
            """ BLOB_HOSTS=["ACCOUNT.blob.core.windows.net"], or AZURE_STORAGE_ACCOUNT_NAME"""
        )
    return _signing_host(named.lower()) if named else f"{account.lower()}.blob.core.windows.net"


def _signing_host(host: str) -> str:
    """The host in signed URLs: Azure has another one for blobs than for folders."""
    return re.sub(r"\.dfs\.(core\.windows\.net|fabric\.microsoft\.com)$", r".blob.\1", host)
