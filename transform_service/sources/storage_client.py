"""Locates images by asking the storage service over HTTP."""

import logging

import aiohttp
from pydantic import ValidationError

from imaging.formats import FORMATS
from imaging.locator import Located
from service_kit.errors import ContentLost, Gone, NotFound, ServiceError, Unavailable
from service_kit.http import tracing
from service_kit.http.paths import LOCATION
from service_kit.observing.logging import request_id
from transform_service.caching.places import BlobPlaces
from transform_service.sources._bounded import bounded

logger = logging.getLogger(__name__)

_MOST = 16 * 1024
"""The longest answer about an image, in bytes, with a signed URL in it."""
_OURS = "application/problem+json"
"""The type of the storage service's errors. Those of a proxy in front of it say nothing about the image."""
_KNOWN: dict[int, tuple[type[ServiceError], str]] = {
    404: (NotFound, "the image {} does not exist"),
    410: (Gone, "the image {} was deleted"),
    502: (ContentLost, "the bytes of image {} are damaged; upload the same file again to restore them"),
}


class StorageClient:
    """A Locator that asks the storage service at `base_url`, for at most `seconds` each time.

    It accepts only answers that this version understands, about images at one of `places`.
    """

    def __init__(self, base_url: str, seconds: float, places: BlobPlaces) -> None:
        self._session = aiohttp.ClientSession(
            base_url, connector=bounded(aiohttp.TCPConnector()), timeout=aiohttp.ClientTimeout(total=seconds)
        )
        self._places = places

    async def locate(self, image_id: str) -> Located:
        """See Locator."""
        try:
            headers = tracing.inject({"X-Request-ID": request_id.get()})
            async with self._session.get(LOCATION.format(image_id=image_id), headers=headers) as response:
                body = await _body(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("the storage service does not respond; retry later") from error
        if response.status in _KNOWN and response.content_type == _OURS:
            kind, text = _KNOWN[response.status]
            raise kind(text.format(image_id))
        if response.status != 200:  # noqa: PLR2004
            raise Unavailable("the storage service reported an error; retry later")
        try:
            located = Located.model_validate_json(body)
        except ValidationError as error:
            raise Unavailable("the storage service sent an answer of another version; retry later") from error
        if located.image_id != image_id or located.header.format not in FORMATS:
            raise Unavailable("the storage service sent an answer of another version; retry later")
        if not self._places.has(located):
            logger.error(
                "storage keeps the image %s outside of BLOB_URL; set it to the same as there, or set BLOB_HOSTS",
                image_id,
            )
            raise Unavailable(
                "the services do not agree where images are; an operator has to set BLOB_URL or BLOB_HOSTS"
            )
        return located

    async def confirm(self, image_id: str) -> None:
        """See Locator."""
        await self.locate(image_id)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body; cut off, and so no valid answer, if it is longer than any answer."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MOST:
            break
    return bytes(body[:_MOST])
