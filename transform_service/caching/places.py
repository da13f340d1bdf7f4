"""Where the bytes of stored images may be: below the folder, or in the bucket, that BLOB_URL names."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imaging.locator import Located
from service_kit.urls import parts_of
from transform_service.settings import TransformSettings

_CLOUDS = {
    "s3": (".amazonaws.com",),
    "s3a": (".amazonaws.com",),
    "gs": ("storage.googleapis.com",),
    "az": (".blob.core.windows.net",),
    "azure": (".blob.core.windows.net",),
    "abfs": (".blob.core.windows.net",),
    "abfss": (".blob.core.windows.net",),
}
"""The ends of the hosts in URLs that clouds sign, by the scheme of BLOB_URL."""
_ENDPOINTS = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "GOOGLE_BASE_URL", "AZURE_ENDPOINT")
"""The object stores' own variables for another server; see obstore."""


class BlobPlaces:
    """The places that an answer about an image may name. Without BLOB_URL, any place is accepted."""

    def __init__(self, settings: TransformSettings) -> None:
        """Raises ValueError if BLOB_URL is missing although records are kept where others may write."""
        url = settings.blob_url
        if not url and urlsplit(settings.result_cache_url).scheme != "memory":
            raise ValueError(
                "RESULT_CACHE_URL names a Redis, in which others may write; set BLOB_URL as for the storage service, so"
                " that images are read from there only"
            )
        parts = parts_of("BLOB_URL", url) if url else urlsplit("")
        self._any = not url
        self._folder = Path(os.path.normpath(unquote(parts.path))) if parts.scheme == "file" else None
        self._bucket = parts.netloc.rpartition("@")[2] or parts.path.strip("/").partition("/")[0]
        endpoints = [urlsplit(os.environ[name]).netloc for name in _ENDPOINTS if os.environ.get(name)]
        self._hosts = set(settings.blob_hosts or endpoints)
        self._hosts |= {f"{self._bucket}.{host}" for host in endpoints}
        self._clouds = () if self._hosts else _CLOUDS.get(parts.scheme, ())
        if parts.scheme in {"http", "https"}:
            self._hosts.add(parts.netloc)
        self._storage = urlsplit(settings.storage_url).netloc
        """It sends blobs itself if their store neither has files nor signs URLs."""

    def has(self, located: Located) -> bool:
        """Whether the image is where images may be."""
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
            host = parts.hostname or ""
        except ValueError:
            return False
        if parts.scheme not in {"http", "https"} or parts.username is not None:
            return False
        if parts.netloc in self._hosts | {self._storage}:
            return True
        in_bucket = parts.path.startswith(f"/{self._bucket}/") or host.startswith(f"{self._bucket}.")
        return parts.scheme == "https" and in_bucket and host.endswith(self._clouds)
