"""Recognises uploads that are sent again, since the client cannot know whether the first one arrived."""

import contextlib
import re
import time

from service_kit.errors import BadRequest, InsufficientStorage
from storage_service.metadata.base import MetadataStore, Statement

HEADER = "Idempotency-Key"
_NAME = re.compile(r"[!-~]{1,255}")
_SECONDS = 86_400
"""For how long a key is remembered."""


def checked(name: str) -> str:
    """The value of the header. Raises BadRequest if it is not one."""
    if not _NAME.fullmatch(name):
        raise BadRequest(f"{HEADER}: use 1 to 255 letters, digits and punctuation marks, such as a UUID")
    return name


class Repeats:
    """The uploads of a day."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata

    async def image_id(self, name: str) -> str | None:
        """The image that an upload with this name became; None if there was none."""
        query = "SELECT image_id FROM repeats WHERE name = $1 AND made_at >= $2"
        rows = await self._metadata.fetch(query, name, _oldest())
        return str(rows[0][0]) if rows else None

    def added(self, name: str, image_id: str) -> list[Statement]:
        """The statements that note an upload. They fail, with all of their transaction, if the name is known."""
        old = ("DELETE FROM repeats WHERE name = $1 AND made_at < $2", name, _oldest())
        new = ("INSERT INTO repeats (name, image_id, made_at) VALUES ($1, $2, $3)", name, image_id, int(time.time()))
        return [old, new]

    async def sweep(self) -> None:
        """Forget what is older than a day."""
        with contextlib.suppress(InsufficientStorage):
            await self._metadata.change("DELETE FROM repeats WHERE made_at < $1", _oldest())


def _oldest() -> int:
    return int(time.time()) - _SECONDS
