"""Deletes images that have expired."""

import asyncio
import logging
from datetime import UTC, datetime

from service_kit.access import Identity, Scope
from service_kit.errors import Gone, ServiceError
from storage_service.library import Library
from storage_service.metadata.base import MetadataStore

_SECONDS = 10.0
"""Requests that reach the service get 410 at once. Caches know how long they may keep an image (delivery.py)."""
_AT_ONCE, _TOGETHER = 100, 8
_EXPIRY = Identity("expiry", frozenset(Scope))
"""Who deletes them, for the audit trail."""
_DUE = """
    SELECT image_id FROM images WHERE expires_at <= $1 AND deleted_at IS NULL ORDER BY expires_at LIMIT $2
"""

logger = logging.getLogger(__name__)


class Expiry:
    """Deletes images that have expired. Several processes may do so at once: each image is deleted once."""

    def __init__(self, metadata: MetadataStore, library: Library) -> None:
        self._metadata = metadata
        self._library = library

    async def run(self) -> None:
        """Delete what has expired, until cancelled."""
        while True:
            found = 0
            try:
                found = await self.expire()
            except ServiceError as error:
                logger.warning("images that have expired are deleted later: %s", error)
            except Exception:
                logger.exception("images that have expired are deleted later")  # go on
            if found < _AT_ONCE:
                await asyncio.sleep(_SECONDS)

    async def expire(self) -> int:
        """Delete up to 100 images that have expired. Returns how many it found."""
        rows = await self._metadata.fetch(_DUE, datetime.now(UTC), _AT_ONCE)
        together = asyncio.Semaphore(_TOGETHER)

        async def delete(image_id: str) -> None:
            async with together:
                try:
                    await self._library.delete(image_id, _EXPIRY)
                except Gone:  # by another process
                    return
                except ServiceError as error:
                    logger.warning("the image %s has expired, and is deleted later: %s", image_id, error)

        await asyncio.gather(*(delete(image_id) for (image_id,) in rows))
        return len(rows)
