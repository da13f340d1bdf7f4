"""Images that the storage service keeps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from service_kit.delivery import IMMUTABLE
from service_kit.errors import BadRequest, GatewayTimeout, Unavailable
from service_kit.ids import checked_image_id
from service_kit.images import Located
from service_kit.spool import Spooled
from transform_service.sources.base import Source, SourceKind, source


@source("image_id")
class StoredSource(SourceKind):
    """The id that an upload returned."""

    async def start(self) -> None:
        """Connections to the object store, used only where blobs are not files."""
        self._session = aiohttp.ClientSession()

    async def close(self) -> None:
        """Close them."""
        await self._session.close()

    @asynccontextmanager
    async def open(self, value: str | Spooled) -> AsyncIterator[Source]:
        """Facts from the storage service; the bytes stay where they are until a renderer needs them."""
        if not isinstance(value, str):
            raise BadRequest("the field 'image_id' must be text")
        image_id = checked_image_id(value)
        located = await self.tools.locator.locate(image_id)

        @asynccontextmanager
        async def local() -> AsyncIterator[Path]:
            if located.path:
                yield located.path
                return
            async with self._fetched(located) as path:
                yield path

        async def confirm() -> None:
            await self.tools.locator.locate(image_id)

        yield Source(located.header, located.sha256, IMMUTABLE, local, confirm)

    @asynccontextmanager
    async def _fetched(self, located: Located) -> AsyncIterator[Path]:
        settings = self.tools.settings
        async with self.tools.spool.writer(settings.max_upload_bytes, "the stored image") as writer:
            timeout = aiohttp.ClientTimeout(total=settings.remote_seconds)
            try:
                async with self._session.get(located.url or "", timeout=timeout) as response:
                    response.raise_for_status()
                    async for chunk in response.content.iter_any():
                        await writer.write(chunk)
            except TimeoutError as error:
                raise GatewayTimeout("the blob store was too slow; try again") from error
            except aiohttp.ClientError as error:
                raise Unavailable("the blob store does not answer; try again") from error
            yield (await writer.finish()).path
