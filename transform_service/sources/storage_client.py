"""Locates images by asking the storage service over HTTP."""

import aiohttp

from imaging.locator import Located
from service_kit.errors import ContentLost, Gone, NotFound, ServiceError, Unavailable
from service_kit.http import tracing
from service_kit.http.paths import LOCATION
from service_kit.observing.logging import request_id

_KNOWN: dict[int, tuple[type[ServiceError], str]] = {
    404: (NotFound, "the image {} does not exist"),
    410: (Gone, "the image {} was deleted"),
    502: (ContentLost, "the bytes of image {} are damaged; upload the same file again to restore them"),
}


class StorageClient:
    """A Locator that asks the storage service at `base_url`, for at most `seconds` each time."""

    def __init__(self, base_url: str, seconds: float) -> None:
        self._session = aiohttp.ClientSession(base_url, timeout=aiohttp.ClientTimeout(total=seconds))

    async def locate(self, image_id: str) -> Located:
        """See Locator."""
        try:
            headers = tracing.inject({"X-Request-ID": request_id.get()})
            async with self._session.get(LOCATION.format(image_id=image_id), headers=headers) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("the storage service does not respond; retry later") from error
        if response.status in _KNOWN:
            kind, text = _KNOWN[response.status]
            raise kind(text.format(image_id))
        if response.status != 200:  # noqa: PLR2004
            raise Unavailable("the storage service reported an error; retry later")
        return Located.model_validate_json(body)

    async def confirm(self, image_id: str) -> None:
        """See Locator."""
        await self.locate(image_id)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
