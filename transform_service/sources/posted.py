"""Images that come with the request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service_kit.access import Identity
from service_kit.cache_control import Caching
from service_kit.errors import BadRequest
from service_kit.spool import Spooled
from transform_service.scheduling.renderers import RenderSource
from transform_service.sources.base import Source, SourceImage, source

_PRIVATE = Caching("private, no-store")


@source("image")
class PostedSource(Source):
    """The file in the form field `image`."""

    in_url = False

    @asynccontextmanager
    async def open(self, value: str | Spooled, viewer: Identity) -> AsyncIterator[SourceImage]:
        """See Source. The file is in the spool already. Whoever sent it may see it."""
        del viewer
        if isinstance(value, str):
            raise BadRequest("the field 'image' must be a file, not text")
        header = await self.tools.renderers.read_header(RenderSource(value.path, value.sha256))

        @asynccontextmanager
        async def local() -> AsyncIterator[Path]:
            yield value.path

        yield SourceImage(header, value.sha256, _PRIVATE, local, value.claimed)
