"""Deletes all images that a search finds, in the background. A deletion goes on after a restart."""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from service_kit.access import Identity, Scope
from service_kit.errors import Gone, NotFound, ServiceError
from storage_service.leases import Lease
from storage_service.library import Library
from storage_service.metadata.base import ImageRecord, MetadataStore, Position
from storage_service.search import Filters

_PAGE, _TOGETHER = 100, 8
_LOOK_SECONDS, _LEASE_SECONDS = 5.0, 60
_KEPT = timedelta(days=30)
"""For how long a deletion that has ended is listed."""
_COLUMNS = "deletion_id, key_id, space, filters, added_at, deleted, failed, place_at, place_id, ended_at, stopped"
_SELECT = f"SELECT {_COLUMNS} FROM deletions"  # noqa: S608
_ADD = "INSERT INTO deletions (deletion_id, key_id, space, filters, added_at) VALUES ($1, $2, $3, $4, $5)"
_ADVANCE = """
    UPDATE deletions SET deleted = deleted + $2, failed = failed + $3, place_at = $4, place_id = $5, turn = $6
    WHERE deletion_id = $1 AND place_id = $7
"""
_LATER = "UPDATE deletions SET turn = $2 WHERE deletion_id = $1"
_PAUSE_MS = 60_000
"""After a page that failed. Others go on meanwhile."""
_END = "UPDATE deletions SET ended_at = $2, stopped = $3 WHERE deletion_id = $1 AND ended_at IS NULL"
_FORGET = "DELETE FROM deletions WHERE ended_at < $1"

logger = logging.getLogger(__name__)


class State(StrEnum):
    """How far a deletion is."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"


class Deletion(BaseModel):
    """A deletion of all images that a search finds."""

    model_config = ConfigDict(frozen=True)

    deletion_id: str
    key_id: str
    space: str | None
    """The only space whose images it may delete; None: all."""
    filters: str
    added_at: datetime
    deleted: int
    failed: int
    """Images that could not be deleted."""
    place_at: datetime | None
    place_id: str
    ended_at: datetime | None
    stopped: bool

    @property
    def state(self) -> State:
        """How far it is."""
        if self.ended_at is None:
            return State.RUNNING
        return State.STOPPED if self.stopped else State.DONE

    @property
    def place(self) -> Position | None:
        """The last image that was looked at; None at the start."""
        return Position(self.place_at, self.place_id) if self.place_at else None


class Deletions:
    """All deletions. They take turns, on one node at a time."""

    def __init__(self, metadata: MetadataStore, library: Library) -> None:
        self._metadata = metadata
        self._library = library
        self._lease = Lease(metadata, "deletions", _LEASE_SECONDS)
        self._wake = asyncio.Event()

    async def add(self, filters: Filters, by: Identity) -> Deletion:
        """Begin a deletion. Images that are uploaded from now on stay."""
        now = datetime.now(UTC)
        ends = [moment for moment in (filters.created_before, now) if moment]
        text = _FILTERS.dump_json(replace(filters, created_before=min(ends))).decode()
        deletion_id = secrets.token_hex(8)
        await self._metadata.change(_ADD, deletion_id, by.key_id, by.space, text, now)
        self._wake.set()
        return await self.find(deletion_id, by.space)

    async def find(self, deletion_id: str, space: str | None) -> Deletion:
        """A deletion; of this space, unless it is None. Raises NotFound."""
        found = await self._fetch("WHERE deletion_id = $1", deletion_id)
        if not found or space not in {None, found[0].space}:
            raise NotFound(f"the deletion {deletion_id[:32]} does not exist")
        return found[0]

    async def newest(self, space: str | None, limit: int) -> list[Deletion]:
        """The newest deletions; of this space, unless it is None."""
        where = "WHERE $1 = '' OR space = $1 ORDER BY added_at DESC, deletion_id DESC LIMIT $2"
        return await self._fetch(where, space or "", limit)

    async def stop(self, deletion_id: str, space: str | None) -> Deletion:
        """Stop a deletion. What is deleted stays deleted. Raises NotFound."""
        await self.find(deletion_id, space)
        await self._metadata.change(_END, deletion_id, datetime.now(UTC), True)
        return await self.find(deletion_id, space)

    async def run(self) -> None:
        """Work for ever, while no other process does."""
        while True:
            self._wake.clear()
            try:
                while await self._lease.take() and await self._long_step():
                    pass
            except ServiceError as error:
                logger.warning("deletions are delayed: %s", error)
            except Exception:
                logger.exception("deletions are delayed")  # go on: otherwise they would stop until a restart
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._wake.wait()

    async def close(self) -> None:
        """Let another process go on at once. Call it when `run` has ended."""
        with suppress(ServiceError):
            await self._lease.release()

    async def _long_step(self) -> bool:
        """A step that may take longer than the lease, in a slow blob store."""
        async with self._lease.renewed():
            return await self.step()

    async def step(self) -> bool:
        """Delete the next page of the deletion whose turn it is. Returns whether there was one."""
        due = "WHERE ended_at IS NULL AND turn <= $1 ORDER BY turn, added_at, deletion_id LIMIT 1"
        found = await self._fetch(due, _now())
        for deletion in found:
            try:
                await self._page(deletion)
            except (ServiceError, ValueError) as error:  # an older version does not know all filters of a newer one
                logger.warning("the deletion %s is delayed: %s", deletion.deletion_id, error)
                await self._metadata.change(_LATER, deletion.deletion_id, _now() + _PAUSE_MS)
        return bool(found)

    async def _page(self, deletion: Deletion) -> None:
        """Delete the next page of a deletion. Others take turns with it. Raises ValueError for unknown filters."""
        if await self._is_revoked(deletion):
            await self._metadata.change(_END, deletion.deletion_id, datetime.now(UTC), True)
            return
        page = await self._library.search(_filters(deletion.filters), _PAGE, deletion.place)
        deleted = await self._delete(page.images, deletion)
        last = page.next or deletion.place
        counts = (deleted, len(page.images) - deleted)
        # After the page: when a crash has come in between, those that are left are found again.
        place = (last.created_at, last.image_id) if last else (None, "")
        await self._metadata.change(_ADVANCE, deletion.deletion_id, *counts, *place, _now(), deletion.place_id)
        if page.next is None:
            await self._metadata.change(_END, deletion.deletion_id, datetime.now(UTC), False)
            await self._metadata.change(_FORGET, datetime.now(UTC) - _KEPT)

    async def _is_revoked(self, deletion: Deletion) -> bool:
        """Whether the key that began a deletion was revoked since: perhaps because it has leaked."""
        key = await self._metadata.find_key(deletion.key_id) if deletion.key_id else None
        return key is not None and key.revoked_at is not None and key.revoked_at <= datetime.now(UTC)

    async def _delete(self, records: Sequence[ImageRecord], deletion: Deletion) -> int:
        """Delete images, and return how many are gone."""
        by = Identity(deletion.key_id, frozenset(Scope), deletion.space)
        together = asyncio.Semaphore(_TOGETHER)

        async def delete(image_id: str) -> bool:
            async with together:
                try:
                    await self._library.delete(image_id, by)
                except Gone:  # by somebody else
                    return True
                except ServiceError as error:
                    logger.warning("the deletion %s left out %s: %s", deletion.deletion_id, image_id, error)
                    return False
            return True

        return sum(await asyncio.gather(*(delete(record.image_id) for record in records)))

    async def _fetch(self, where: str, *values: object) -> list[Deletion]:
        names = [*Deletion.model_fields]
        rows: Sequence[Sequence[Any]] = await self._metadata.fetch(f"{_SELECT} {where}", *values)
        return [Deletion.model_validate(dict(zip(names, row, strict=True))) for row in rows]


_FILTERS = TypeAdapter(Filters)


def _filters(text: str) -> Filters:
    """Filters from JSON. Raises ValueError for those that this version does not know: it would delete more."""
    if unknown := json.loads(text).keys() - {each.name for each in fields(Filters)}:
        raise ValueError(f"this version does not know the filters {', '.join(sorted(unknown))}")
    return _FILTERS.validate_json(text)


def _now() -> int:
    return time.time_ns() // 1_000_000
