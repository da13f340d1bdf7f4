"""Images in the storage service, by ID."""

import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import aiohttp
from cachetools import LRUCache

from imaging.levels import Level
from imaging.locator import Located, NewVariant, Variant, explain_missing
from service_kit.access import Identity, check_view, guard_of
from service_kit.errors import BadRequest, ContentTooLarge, GatewayTimeout, Gone, Unavailable
from service_kit.http.bounded import bounded
from service_kit.ids import checked_image_id
from service_kit.spool import Spool, Spooled
from service_kit.threads import in_thread
from transform_service.sources._disk_cache import DiskCache, level_name, sha256_of
from transform_service.sources.base import LevelLost, Source, SourceImage, Tools, VariantLost, source

_MISSING = {404, 410}
_SOUND = 10_000


class _Lost(Exception):
    """The blob store does not have the blob, or has other bytes."""


@source("image_id")
class StoredSource(Source):
    """The ID that an upload returned."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        settings = tools.settings
        self._cache = DiskCache(
            settings.source_cache_dir or settings.spool_dir / "sources", settings.source_cache_bytes
        )

        self._sound: LRUCache[str, bool] = LRUCache(_SOUND)
        """The digests of levels and variants in files that this process has verified."""

    async def start(self) -> None:
        """Open a session for object stores. It is unused if blobs are files."""
        timeout = aiohttp.ClientTimeout(total=self.tools.settings.blob_seconds)
        connector = bounded(aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver()))
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    async def forget(self, content: str) -> None:
        """See Source."""
        await self._cache.forget(content)

    @asynccontextmanager
    async def open(self, value: str | Spooled, viewer: Identity) -> AsyncIterator[SourceImage]:
        """Locate the image. Its bytes stay where they are until a renderer needs them."""
        if not isinstance(value, str):
            raise BadRequest("the field 'image_id' must be text, not a file")
        image_id = checked_image_id(value)
        opened = time.monotonic()
        located = await self.tools.locator.locate(image_id)
        check_view(viewer, image_id, located.actual_visibility, located.space)
        if located.expires_at and located.expires_at <= datetime.now(UTC):  # the record may be some minutes old
            raise Gone(f"the image {image_id} has expired")

        @asynccontextmanager
        async def local() -> AsyncIterator[Path]:
            try:
                async with self.opened(located) as path:
                    yield path
            except _Lost:
                await explain_missing(image_id, self.tools.locator.confirm)

        async def confirm() -> None:
            if await self.tools.locator.confirm(image_id) != located.actual_visibility:
                raise Unavailable(f"the visibility of image {image_id} has just changed; retry")

        caching = self.tools.settings.variant_caching
        yield SourceImage(
            located.header,
            located.sha256,
            caching,
            local,
            confirm=confirm,
            levels=None if located.levels is None else _Levels(self, located),
            variants=None if located.variants is None else _Variants(self, located),
            keep_look=None if located.has_look else partial(self.tools.locator.keep_look, image_id),
            image_id=image_id,
            guard=guard_of(located.actual_visibility, located.space),
            expires_at=located.expires_at,
            focus=located.focus,
            stem=image_id,
            opened=opened,
        )

    @asynccontextmanager
    async def opened(self, located: Located | Level, name: str = "") -> AsyncIterator[Path]:
        """A blob as a local file. `name` is that of a level in the disk cache. Raises _Lost."""
        if located.path:
            if not _is_whole(located.path, located.bytes):
                raise _Lost
            yield located.path
            return

        def fetch(spool: Spool) -> AbstractAsyncContextManager[Spooled]:
            return self.fetched(located, located.url or "", spool)

        async with self._cache.open(located.sha256, located.bytes, fetch, name) as path:
            if path:
                yield path
                return
        async with fetch(self.tools.spool) as fetched:
            yield fetched.path

    async def verify(self, level: Level | Variant) -> None:
        """Hash a level or a variant in a file when this process first uses it.

        Raises _Lost if its bytes are not those that were stored.
        """
        if level.path is None or level.sha256 in self._sound:
            return
        try:
            digest = await in_thread(sha256_of, level.path)
        except OSError as error:
            raise _Lost from error
        if digest != level.sha256:
            raise _Lost
        self._sound[level.sha256] = True

    @asynccontextmanager
    async def fetched(self, located: Located | Level | Variant, url: str, spool: Spool) -> AsyncIterator[Spooled]:
        """The blob in a spool. Raises _Lost if the blob store does not have it as it was uploaded."""
        async with spool.writer(located.bytes, "the stored image") as writer:
            try:
                async with self._session.get(url) as response:
                    if response.status in _MISSING or (response.content_length or located.bytes) != located.bytes:
                        raise _Lost
                    response.raise_for_status()
                    async for chunk in response.content.iter_any():
                        await writer.write(chunk)
            except TimeoutError as error:
                raise GatewayTimeout("the blob store was too slow; retry later") from error
            except ContentTooLarge as error:
                raise _Lost from error
            except aiohttp.ClientError as error:
                raise Unavailable("the blob store does not respond; retry later") from error
            fetched = await writer.finish()
            if fetched.sha256 != located.sha256:
                raise _Lost
            yield fetched


class _Levels:
    """See StoredLevels."""

    def __init__(self, source: StoredSource, located: Located) -> None:
        self._source = source
        self._image_id = located.image_id
        self._sha256 = located.sha256
        self.there = located.levels or ()

    @asynccontextmanager
    async def local(self, level: Level) -> AsyncIterator[Path]:
        """See StoredLevels."""
        try:
            async with self._source.opened(level, level_name(self._sha256, level.side)) as path:
                await self._source.verify(level)
                yield path
        except _Lost as error:
            raise LevelLost from error

    async def keep(self, side: int, file: Path) -> None:
        """See StoredLevels."""
        await self._source.tools.locator.keep_level(self._image_id, side, file)

    async def drop(self, level: Level) -> None:
        """See StoredLevels."""
        await self._source.tools.locator.drop_level(self._image_id, level)


class _Variants:
    """See StoredVariants."""

    def __init__(self, source: StoredSource, located: Located) -> None:
        self._source = source
        self._image_id = located.image_id
        self.there: Mapping[str, Variant] = {variant.key: variant for variant in located.variants or ()}
        self.precomputed: Collection[str] = located.precomputed

    @asynccontextmanager
    async def local(self, variant: Variant) -> AsyncIterator[Path]:
        """See StoredVariants."""
        try:
            if variant.path is None:
                url = await self._source.tools.locator.variant_url(self._image_id, variant.key)
                async with self._source.fetched(variant, url, self._source.tools.spool) as fetched:
                    yield fetched.path
            elif _is_whole(variant.path, variant.bytes):
                await self._source.verify(variant)
                yield variant.path
            else:
                raise VariantLost
        except _Lost as error:
            raise VariantLost from error

    async def keep(self, key: str, chain: str, file: Path, *, hot: bool) -> None:
        """See StoredVariants."""
        await self._source.tools.locator.keep_variant(self._image_id, NewVariant(key, chain, file, hot))

    async def drop(self, variant: Variant) -> None:
        """See StoredVariants."""
        await self._source.tools.locator.drop_variant(self._image_id, variant)


def _is_whole(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
