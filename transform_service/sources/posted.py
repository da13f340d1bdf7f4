"""Images that come with the request and are forgotten after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service_kit.errors import BadRequest
from service_kit.spool import Spooled
from transform_service.render_pool import RenderSource
from transform_service.sources.base import Source, SourceKind, source

_PRIVATE = "private, no-store"


@source("image")
class PostedSource(SourceKind):
    """The file in the form field `image`."""

    in_url = False

    @asynccontextmanager
    async def open(self, value: str | Spooled) -> AsyncIterator[Source]:
        """The posted file, which lies in the spool already."""
        if isinstance(value, str):
            raise BadRequest("the field 'image' must be a file")
        header = await self.tools.pool.read_header(RenderSource(value.path, value.sha256))

        @asynccontextmanager
        async def local() -> AsyncIterator[Path]:
            yield value.path

        yield Source(header, value.sha256, _PRIVATE, local)
