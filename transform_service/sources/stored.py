"""Images in the storage service, by ID."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import aiohttp

from imaging.locator import Located, explain_missing
from service_kit.errors import BadRequest, GatewayTimeout, Unavailable
from service_kit.http.delivery import IMMUTABLE
from service_kit.ids import checked_image_id
from service_kit.spool import Spooled
from transform_service.sources._bounded import bounded
from transform_service.sources.base import Source, SourceImage, source

_MISSING = {404, 410}


@source("image_id")
class StoredSource(Source):
    """The ID that an upload returned."""

    async def start(self) -> None:
        """Open a session for object stores. It is unused if blobs are files."""
        self._session = aiohttp.ClientSession(connector=bounded(aiohttp.TCPConnector()), auto_decompress=False)

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    @asynccontextmanager
    async def open(self, value: str | Spooled) -> AsyncIterator[SourceImage]:
        """Locate the image. Its bytes stay where they are until a renderer needs them."""
        if not isinstance(value, str):
            raise BadRequest("the field 'image_id' must be text, not a file")
        image_id = checked_image_id(value)
        opened = time.monotonic()
        located = await self.tools.locator.locate(image_id)

        @asynccontextmanager
        async def local() -> AsyncIterator[Path]:
            if located.path:
                if not _is_whole(located.path, located.bytes):
                    await confirm_lost()
                yield located.path
                return
            async with self._fetched(located) as fetched:
                if fetched is None or fetched.bytes != located.bytes:
                    await confirm_lost()
                else:
                    yield fetched.path

        async def confirm_lost() -> NoReturn:
            await explain_missing(image_id, self.tools.locator.confirm)

        async def confirm() -> None:
            await self.tools.locator.confirm(image_id)

        yield SourceImage(located.header, located.sha256, IMMUTABLE, local, confirm, image_id, opened)

    @asynccontextmanager
    async def _fetched(self, located: Located) -> AsyncIterator[Spooled | None]:
        """The blob in the spool; None if the blob store does not have it."""
        settings = self.tools.settings
        async with self.tools.spool.writer(settings.max_upload_bytes, "the stored image") as writer:
            timeout = aiohttp.ClientTimeout(total=settings.remote_seconds)
            try:
                async with self._session.get(located.url or "", timeout=timeout) as response:
                    found = response.status not in _MISSING
                    if found:
                        response.raise_for_status()
                        async for chunk in response.content.iter_any():
                            await writer.write(chunk)
            except TimeoutError as error:
                raise GatewayTimeout("the blob store was too slow; retry later") from error
            except aiohttp.ClientError as error:
                raise Unavailable("the blob store does not respond; retry later") from error
            yield await writer.finish() if found else None


def _is_whole(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False
