"""Locates images by asking the storage service over HTTP."""

import aiohttp

from imaging.locator import Located
from service_kit.errors import Gone, NotFound, ServiceError, Unavailable
from service_kit.http import tracing
from service_kit.http.paths import LOCATION
from service_kit.observing.logging import request_id
from transform_service.sources._bounded import bounded

_KNOWN: dict[int, type[ServiceError]] = {404: NotFound, 410: Gone}


class StorageClient:
    """A Locator that asks the storage service at `base_url`, for at most `seconds` each time."""

    def __init__(self, base_url: str, seconds: float) -> None:
        self._session = aiohttp.ClientSession(
            base_url, connector=bounded(aiohttp.TCPConnector()), timeout=aiohttp.ClientTimeout(total=seconds)
        )

    async def locate(self, image_id: str) -> Located:
        """See Locator."""
        try:
            headers = tracing.inject({"X-Request-ID": request_id.get()})
            async with self._session.get(LOCATION.format(image_id=image_id), headers=headers) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("the storage service does not respond; retry later") from error
        if response.status in _KNOWN:
            raise _KNOWN[response.status](_detail(response.status, image_id))
        if response.status != 200:  # noqa: PLR2004
            raise Unavailable("the storage service reported an error; retry later")
        return Located.model_validate_json(body)

    async def confirm(self, image_id: str) -> None:
        """See Locator."""
        await self.locate(image_id)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def _detail(status: int, image_id: str) -> str:
    return f"the image {image_id} does not exist" if status == 404 else f"the image {image_id} was deleted"  # noqa: PLR2004
