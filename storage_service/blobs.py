"""Blobs: the bytes of images, in files or an object store, named by their SHA-256."""

import asyncio
import copy
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, MemoryStore, from_url

from service_kit.errors import GatewayTimeout, ServiceError, Unavailable
from service_kit.settings import scratch_directory
from service_kit.threads import in_thread
from service_kit.urls import parts_of, redacted
from storage_service.durable_files import DurableFiles
from storage_service.verifying import verified

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import AzureStore, ClientConfig, GCSStore, ObjectStore, RetryConfig, S3Store

_PREFIX = "sha256"
_NAME = re.compile("[0-9a-f]{64}")
_SECRET = re.compile(r"\?\S*|(?<=//)[^/@\s]*@")
"""What may be one in a URL: the query, and a user with a password."""
_KEYS_OF_MACHINE = "169.254.169.254"
"""Where obstore asks for keys, if there are none among the settings."""
_CHUNK = 256 * 1024
_LIST_BATCH = 500
_SIGNING_SCHEMES = {"s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "https"}

_CLIENT: "ClientConfig" = {"connect_timeout": "2s", "timeout": "300s", "allow_http": True}
"""Plain HTTP is used only if the URL of the endpoint says so, such as for an S3 server in the same network.
`timeout` includes the time that a slow client takes to receive an original. `_asked` has the limits of the store."""
_STORING = 5
"""How many times longer an object store may take for storing a blob than for beginning an answer, or sending the next
chunk. By default that makes 25 s: below nginx's patience (30 s), so that clients get our answer."""
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=5)}
"""By default, obstore retries for three minutes, longer than any client waits."""

logger = logging.getLogger(__name__)


class BlobMissing(Exception):
    """The blob is missing or incomplete."""


@dataclass(frozen=True, slots=True)
class ListedBlob:
    """A blob in the list of the store, its size in bytes, and when it was written."""

    sha256: str
    bytes: int
    written_at: datetime


class Blobs:
    """A content-addressed store. Adding content that it already has changes nothing."""

    def __init__(self, url: str, seconds: float = 5.0) -> None:
        """`url` is a URL for obstore's `from_url`. Raises ValueError for others.

        `seconds` is how long an object store may take to answer.
        """
        self._seconds = seconds
        self._prefix = _PREFIX
        parts = parts_of("BLOB_URL", url)
        if parts.scheme == "file" and parts.netloc:
            raise ValueError(
                f"BLOB_URL={redacted(url)!r} has a host, {parts.netloc!r}; write a folder with three slashes: file:///path"
            )
        self._root = Path(unquote(parts.path)) if parts.scheme == "file" else None
        self._files = DurableFiles(self._root) if self._root else None
        self._signs = parts.scheme in _SIGNING_SCHEMES
        try:
            self._store: ObjectStore = LocalStore(self._root, mkdir=True) if self._root else _remote_store(url)
        except (BaseError, OSError, ValueError) as error:
            hint = "use file:///path, s3://bucket/prefix or memory://"
            reason = str(error).splitlines()[0] if redacted(url) == url else hint  # the reason may contain a secret
            raise ValueError(f"BLOB_URL={redacted(url)!r} is not a blob store: {reason}") from None

    @property
    def in_files(self) -> bool:
        """Whether blobs are files."""
        return self._root is not None

    @property
    def can_be_read(self) -> bool:
        """Whether others can read blobs by themselves: as files, or from signed URLs."""
        return self.in_files or self._signs

    @property
    def spool_folder(self) -> Path:
        """The folder for incoming uploads. If blobs are files, it is on their disk: a rename stores an upload."""
        return self._root / "incoming" if self._root else scratch_directory("incoming")

    def path(self, sha256: str) -> Path | None:
        """The file of a blob, if blobs are files."""
        return self._root / self.key(sha256) if self._root else None

    def below(self, folder: str) -> Self:
        """Other blobs of the same store, in a folder of their own. Each belongs to the content that its name says."""
        blobs = copy.copy(self)
        blobs._prefix = folder  # noqa: SLF001  # its own
        return blobs

    def key(self, sha256: str) -> str:
        """The path of a blob below the root of the store."""
        return f"{self._prefix}/{sha256[:2]}/{sha256[2:4]}/{sha256}"

    async def presigned_url(self, sha256: str, lifetime: timedelta) -> str | None:
        """A URL from which to read the blob; None if the store cannot sign URLs."""
        if not self._signs:
            return None
        with _translated():
            store = cast("S3Store | GCSStore | AzureStore", self._store)
            return await obstore.sign_async(store, "GET", self.key(sha256), lifetime)

    async def add(self, sha256: str, source: Path) -> None:
        """Store the contents of the file `source`, which may be moved. The blob is durable when this returns."""
        if self._files:
            await in_thread(self._files.keep, source, self._files.root / self.key(sha256))
            return
        size = (await in_thread(source.stat)).st_size
        async with self._asked(_STORING):
            await obstore.put_async(self._store, self.key(sha256), source)
        if not await self.exists(sha256, size):
            raise Unavailable("the blob store confirmed the image but does not have it; retry later")

    async def look_for_mistakes(self) -> None:
        """Log an ERROR if the object store cannot be listed, since a setting may be wrong. Raises nothing."""
        if self._root:
            return
        try:
            async with self._asked():
                await self.size("0" * 64)  # only this says that credentials are wrong
                await anext(obstore.list(self._store, self._prefix, chunk_size=1), None)
        except ServiceError as error:
            cause = _SECRET.sub("", next(iter(str(error.__cause__).splitlines()), "")) or "no answer"
            hint = "; it found no keys, such as AWS_ACCESS_KEY_ID" if _KEYS_OF_MACHINE in cause else ""
            said = str(error).removesuffix("; retry later")
            logger.error("BLOB_URL: %s, so uploads fail%s (%.300s)", said, hint, cause)  # noqa: TRY400  # no traceback

    async def size(self, sha256: str) -> int | None:
        """The bytes that the store has of a blob; None if it has none."""
        async with self._asked():
            try:
                return (await obstore.head_async(self._store, self.key(sha256)))["size"]
            except FileNotFoundError:
                return None

    async def exists(self, sha256: str, size: int) -> bool:
        """Whether the blob exists with all its `size` bytes."""
        return await self.size(sha256) == size

    async def is_durable(self, sha256: str, size: int) -> bool:
        """Whether the blob exists with all its `size` bytes, and outlasts a power failure when this returns.

        Its name may not be on the disk yet, if the process that was adding it was killed.
        """
        if not await self.exists(sha256, size):
            return False
        if self._files:
            await in_thread(self._files.sync_name, self._files.root / self.key(sha256))
        return True

    async def open(self, sha256: str, size: int, part: range) -> AsyncIterator[memoryview]:
        """The bytes of `part` of a blob of `size` bytes, in chunks. Raises BlobMissing if the blob is incomplete.

        A whole blob from an object store is verified. If it has other bytes than were uploaded, a small one raises
        ContentLost here, and a large one does in place of the last chunks.
        """
        whole = part == range(size)
        try:
            result = await self._get(sha256, size, None if whole else part)
        except Unavailable as error:
            if not await self.exists(sha256, size):
                raise BlobMissing(sha256) from error
            if whole:
                raise
            # Some stores do not send parts, or do not say that it is one.
            return _part(self._chunks(await self._get(sha256, size, None)), part)
        return await verified(self._chunks(result), sha256) if whole and not self._root else self._chunks(result)

    async def _get(self, sha256: str, size: int, part: range | None) -> "GetResult":
        options: GetOptions = {"range": (part.start, part.stop)} if part else {}
        async with self._asked():
            result = await obstore.get_async(self._store, self.key(sha256), options=options)
        if result.meta["size"] != size:
            raise BlobMissing(sha256)
        return result

    async def delete(self, sha256: str) -> None:
        """Remove the blob. No effect if it does not exist."""
        async with self._asked():
            try:
                await obstore.delete_async(self._store, self.key(sha256))
            except FileNotFoundError:
                return

    async def list_all(self, begin: str = "") -> AsyncIterator[list[ListedBlob]]:
        """Every blob, in batches; or only those whose SHA-256 begins with the two digits `begin`.

        Leaves out what somebody else may have put among them.
        """
        with _translated():
            async for batch in obstore.list(self._store, f"{self._prefix}/{begin}", chunk_size=_LIST_BATCH):
                found = [(each, each["path"].rpartition("/")[2]) for each in batch]
                yield [
                    ListedBlob(name, each["size"], each["last_modified"])
                    for each, name in found
                    if _NAME.fullmatch(name) and each["path"] == self.key(name)
                ]

    async def list_older(self, than: datetime) -> AsyncIterator[list[str]]:
        """The SHA-256 of every blob that was last written before `than`, in batches."""
        async for batch in self.list_all():
            yield [blob.sha256 for blob in batch if blob.written_at < than]

    async def _chunks(self, result: "GetResult") -> AsyncIterator[memoryview]:
        stream = aiter(result.stream(min_chunk_size=_CHUNK))
        while True:
            async with self._asked():
                chunk = await anext(stream, None)
            if chunk is None:
                return
            yield memoryview(chunk)

    @asynccontextmanager
    async def _asked(self, times: float = 1) -> AsyncIterator[None]:
        """Translate errors, and raise GatewayTimeout after `times` the time limit of an answer."""
        try:
            async with asyncio.timeout(times * self._seconds):
                with _translated():
                    yield
        except TimeoutError as error:
            raise GatewayTimeout("the blob store was too slow; retry later") from error


async def _part(chunks: AsyncIterator[memoryview], part: range) -> AsyncIterator[memoryview]:
    """The bytes of `part` out of a whole blob."""
    begin = 0
    async for chunk in chunks:
        yield chunk[max(0, part.start - begin) : max(0, part.stop - begin)]
        begin += len(chunk)
        if begin >= part.stop:
            return


def _remote_store(url: str) -> "ObjectStore":
    if urlsplit(url).scheme == "memory":
        return MemoryStore()
    return from_url(url, client_options=_CLIENT, retry_config=_RETRIES)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
        raise Unavailable(
            "the blob store refuses the service; an operator has to check the credentials and their permissions"
        ) from error
    except (BaseError, OSError) as error:
        raise Unavailable("the blob store does not respond; retry later") from error
