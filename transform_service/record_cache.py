"""What the storage service said of an image, remembered for minutes, and forgotten when the image is deleted."""

from cachetools import TTLCache

from service_kit.errors import Gone, Unavailable
from service_kit.images import Located, Locator
from transform_service.cache_store import CacheStore
from transform_service.metrics import RECORDS

_SECONDS = 300.0
"""Less than a presigned URL in a record lives (storage_service/library.py)."""
_GONE_SECONDS = 3600.0
"""Longer than any record that was looked up before the deletion can be on its way."""
_GONE = b"gone"
_UNMARKED = 10_000


class CachedLocator:
    """A Locator that asks another one and remembers its answers, in a store that the nodes share.

    A deletion leaves a mark in place of the record, and a record is never put over a mark: so what was looked up before
    cannot come back after.
    """

    def __init__(self, storage: Locator, store: CacheStore) -> None:
        self._storage = storage
        self._store = store
        self._unmarked: TTLCache[str, bool] = TTLCache(_UNMARKED, _GONE_SECONDS)
        """Deleted images whose mark the store did not take: their old records may come back with it."""

    async def locate(self, image_id: str) -> Located:
        """See Locator."""
        known = _GONE if image_id in self._unmarked else await self._store.get(_key(image_id))
        RECORDS.labels("miss" if known is None else "hit").inc()
        if known is not None:
            return _record(known, image_id)
        located = await self._storage.locate(image_id)
        await self._store.add(_key(image_id), located.model_dump_json().encode(), _SECONDS)
        return located

    async def confirm(self, image_id: str) -> None:
        """See Locator. Where storage does not answer, nothing can have been deleted, and what is known holds."""
        try:
            await self._storage.confirm(image_id)
        except Unavailable:
            known = await self._store.get(_key(image_id))
            if known is None:
                raise
            _record(known, image_id)

    async def forget(self, image_id: str) -> None:
        """The image was deleted. Raises Unavailable where the store did not take it: the old record may be there."""
        if await self._store.put(_key(image_id), _GONE, _GONE_SECONDS):
            self._unmarked.pop(image_id, None)
        else:
            self._unmarked[image_id] = True
            raise Unavailable("the record cache does not answer, so the image is not known to be gone; purge it again")


def _record(known: bytes, image_id: str) -> Located:
    if known == _GONE:
        raise Gone(f"the image {image_id} was deleted")
    return Located.model_validate_json(known)


def _key(image_id: str) -> str:
    return f"record:{image_id}"
