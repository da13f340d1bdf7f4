"""The record cache: keeps answers of the storage service for minutes, or until the image is deleted."""

from collections.abc import Sequence
from pathlib import Path

from cachetools import TTLCache
from pydantic import ValidationError

from imaging.formats import FORMATS
from imaging.levels import Level
from imaging.locator import Located, Locator, NewVariant, Variant
from imaging.looks import Look
from service_kit.errors import Gone, Unavailable
from transform_service.caching.places import BlobPlaces
from transform_service.caching.store import CacheStore
from transform_service.metrics import CACHE_REFUSED, RECORDS

_SECONDS = 300.0
"""Shorter than the life of a presigned URL in a record (storage_service/library.py)."""
_GONE_SECONDS = 3600.0
"""Longer than a record from before the deletion can be on its way."""
_GONE = b"gone"
_ASK, _ASK_SECONDS = b"ask", 60.0
"""In place of the record of a damaged image, for longer than an older record can be on its way: ask storage."""
_UNMARKED = 10_000
"""IDs of 32 characters, so they take at most 4 MB."""


class CachedLocator:
    """A Locator that caches the answers of another one, in a store that nodes may share.

    A deletion replaces the record with a mark, and a record never replaces a mark. So a record from before the deletion
    does not come back after it. A record that is not exactly what this version would write is a miss: another version,
    or somebody else, wrote it.
    """

    def __init__(self, storage: Locator, store: CacheStore, places: BlobPlaces) -> None:
        self._storage = storage
        self._store = store
        self._places = places
        self._unmarked: TTLCache[str, bool] = TTLCache(_UNMARKED, _GONE_SECONDS)
        """Deleted images that the store could not mark. It may still have their records when it responds again."""

    async def locate(self, image_id: str) -> Located:
        """See Locator."""
        known = await self._known(image_id)
        RECORDS.labels("miss" if known is None else "hit").inc()
        if known is not None:
            return known
        located = await self._storage.locate(image_id)
        await self._store.add(_key(image_id), located.model_dump_json().encode(), _SECONDS)
        return located

    async def named(self, name: str) -> str:
        """See Locator. It is asked each time, since a name may show another image at any time."""
        return await self._storage.named(name)

    async def confirm(self, image_id: str) -> str:
        """See Locator. While storage is down, nothing can be deleted, so a cached record is valid."""
        try:
            return await self._storage.confirm(image_id)
        except Unavailable:
            known = await self._known(image_id)
            if known is None:
                raise
            return known.actual_visibility

    async def keep_look(self, image_id: str, look: Look) -> None:
        """See Locator."""
        await self._storage.keep_look(image_id, look)
        await self._read_again(image_id)

    async def keep_level(self, image_id: str, side: int, file: Path) -> None:
        """See Locator."""
        await self._storage.keep_level(image_id, side, file)
        await self._read_again(image_id)

    async def drop_level(self, image_id: str, level: Level) -> None:
        """See Locator."""
        await self._storage.drop_level(image_id, level)
        await self._read_again(image_id)

    async def variant_url(self, image_id: str, key: str) -> str:
        """See Locator."""
        return await self._storage.variant_url(image_id, key)

    async def keep_variant(self, image_id: str, variant: NewVariant) -> None:
        """See Locator."""
        await self._storage.keep_variant(image_id, variant)
        await self._read_again(image_id)

    async def note_variants(self, keys: Sequence[str]) -> None:
        """See Locator."""
        await self._storage.note_variants(keys)

    async def drop_variant(self, image_id: str, variant: Variant) -> None:
        """See Locator."""
        await self._storage.drop_variant(image_id, variant)
        await self._read_again(image_id)

    async def _read_again(self, image_id: str) -> None:
        """Replace a cached record that no longer says what storage has, unless a deletion has replaced it."""
        stored = await self._store.get(_key(image_id))
        if stored not in {None, _GONE, _ASK}:
            located = await self._storage.locate(image_id)
            await self._store.replace(_key(image_id), stored, located.model_dump_json().encode(), _SECONDS)

    async def forget(self, image_id: str) -> None:
        """Mark an image as deleted. Raises Unavailable if the store may still have its record."""
        if await self._store.put(_key(image_id), _GONE, _GONE_SECONDS):
            self._unmarked.pop(image_id, None)
        else:
            self._unmarked[image_id] = True
            raise Unavailable("the record cache does not respond and may still have the image; purge it again")

    async def drop(self, image_id: str) -> None:
        """Remove a record that may have changed. Raises Unavailable if the store may still have it."""
        if not await self._store.put(_key(image_id), _ASK, _ASK_SECONDS):
            raise Unavailable("the record cache does not respond and may still have the image; purge it again")

    async def _known(self, image_id: str) -> Located | None:
        """The cached record, or None if it is missing or invalid. Raises Gone if the image was deleted."""
        stored = _GONE if image_id in self._unmarked else await self._store.get(_key(image_id))
        if stored is None or stored == _ASK:
            return None
        if stored == _GONE:
            raise Gone(f"the image {image_id} was deleted")
        try:
            located = Located.model_validate_json(stored, extra="forbid")
        except ValidationError:
            located = None
        if located and located.image_id == image_id and _is_ours(located) and self._places.has(located):
            return located
        CACHE_REFUSED.inc()
        return None


def _is_ours(located: Located) -> bool:
    """Whether this version wrote a record: an older one leaves out fields, which would then have their defaults."""
    return located.model_fields_set >= Located.model_fields.keys() and located.header.format in FORMATS


def _key(image_id: str) -> str:
    return f"record:{image_id}"
