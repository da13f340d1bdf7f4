"""Names: URLs that people choose. What a name shows can be replaced, and nobody sees the old picture afterwards."""

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from service_kit.access import Identity
from service_kit.errors import BadRequest, Forbidden, NotFound, Unavailable
from storage_service.audit import Action, AuditTrail
from storage_service.caches import Caches, PurgeOrder
from storage_service.events import Events, EventType
from storage_service.metadata.base import AuditEntry, ImageRecord, MetadataStore

MOST_VERSIONS = 100
"""Older versions of a name are forgotten. Their images stay."""
_SETTLE_SECONDS = 0.3
"""After a mark, until no cache can keep an answer from before it any more: Varnish keeps only what it got within 0.1 s
(varnish/names.vcl)."""
_PURGE_SECONDS = 0.5
_KEPT_SECONDS = 10.5
"""After a mark, until no cache has an answer from before it any more, also if it could not be purged."""
_AGAIN_SECONDS = 0.2
_MARK_SECONDS = 16.0
"""How long a mark lasts. Clocks of nodes may differ by the rest that a change leaves."""
_CHANGE_SECONDS = 14.0
KEPT_SECONDS = 10
"""For how long Varnish keeps which image a name shows."""
_LONGEST = 200
_PART = "[A-Za-z0-9_~-][A-Za-z0-9._~-]*"
NAME_PATTERN = re.compile(f"{_PART}(?:/{_PART})*")

_COLUMNS = "name, space, image_id, version, changed_at"
_SELECT = f"SELECT {_COLUMNS}, changing_until FROM names WHERE name = $1"  # noqa: S608
_LIST = f"SELECT {_COLUMNS}, changing_until FROM names WHERE name > $1 AND name >= $2 AND name < $3"  # noqa: S608
_LAST = b"\x7f"
"""Behind all characters of names."""
_CREATE = f"INSERT INTO names ({_COLUMNS}) VALUES ($1, $2, $3, 1, $4) ON CONFLICT (name) DO NOTHING"  # noqa: S608
_MARK = "UPDATE names SET changing_until = $2 WHERE name = $1 AND changing_until = $3"
_REPLACE = """
    UPDATE names SET image_id = $2, version = version + 1, changed_at = $3,
    changing_until = CASE WHEN changing_until = $4 THEN $5 ELSE changing_until END WHERE name = $1 AND space = $6
"""
_REMOVE = "DELETE FROM names WHERE name = $1 AND space = $2"
_REMEMBER = """
    INSERT INTO name_versions (name, version, image_id, changed_at)
    SELECT name, version, image_id, changed_at FROM names WHERE name = $1
"""
_FORGET_OLD = """
    DELETE FROM name_versions WHERE name = $1 AND version <= (SELECT version FROM names WHERE name = $1) - $2
"""
_FORGET = "DELETE FROM name_versions WHERE name = $1"
_VERSIONS = "SELECT version, image_id, changed_at FROM name_versions WHERE name = $1 ORDER BY version DESC"
_VERSION = "SELECT image_id FROM name_versions WHERE name = $1 AND version = $2"
_MADE = "SELECT version FROM name_versions WHERE name = $1 AND image_id = $2 AND changed_at = $3"


class Name(BaseModel):
    """A name, and what it shows."""

    model_config = ConfigDict(frozen=True)

    name: str
    space: str
    image_id: str
    version: int
    changed_at: datetime
    changing_until: int = 0
    """Microseconds since 1970."""

    @property
    def is_changing(self) -> bool:
        """Whether no cache may keep what it shows."""
        return self.changing_until > _now()


class Version(BaseModel):
    """What a name has shown."""

    model_config = ConfigDict(frozen=True)

    version: int
    image_id: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Pointed:
    """A name after a change."""

    name: Name
    is_new: bool


def checked_name(text: str) -> str:
    """A name. Raises BadRequest if it is not one."""
    if len(text) > _LONGEST or not NAME_PATTERN.fullmatch(text) or text.rpartition("/")[2] == "versions":
        raise BadRequest(
            f"{text[:64]!r} is not a name; use up to {_LONGEST} of a-z, A-Z, 0-9, `-`, `_`, `~` and `.`, with `/`"
            " between parts that do not start with a dot, such as `shop/hero.jpg`; the last part cannot be `versions`"
        )
    return text


class Names:
    """All names. A change takes 0.3 s if there are caches: first none may keep the old answer, then it changes."""

    def __init__(self, metadata: MetadataStore, caches: Caches, audit: AuditTrail, events: Events) -> None:
        self._metadata = metadata
        self._caches = caches
        self._audit = audit
        self._events = events

    async def find(self, name: str, space: str | None = None) -> Name:
        """What a name shows. Unless `space` is None, names of other spaces do not exist. Raises NotFound."""
        found = await self._find(checked_name(name))
        if found is None or space not in {None, found.space}:
            raise NotFound(f"the name {name} does not exist")
        return found

    async def _find(self, name: str) -> Name | None:
        rows = await self._metadata.fetch(_SELECT, name.encode())
        return next((Name.model_validate(dict(zip(Name.model_fields, row, strict=True))) for row in rows), None)

    async def page(self, prefix: str, space: str | None, limit: int, after: str) -> list[Name]:
        """Names that start with `prefix`, in order, after the name `after`."""
        start = prefix.encode()
        query, values = _LIST, list[object]((after.encode(), start, start + _LAST))
        if space is not None:
            query, values = f"{query} AND space = $4", [*values, space]
        rows = await self._metadata.fetch(f"{query} ORDER BY name LIMIT {limit}", *values)
        return [Name.model_validate(dict(zip(Name.model_fields, row, strict=True))) for row in rows]

    async def versions(self, name: str, space: str | None = None) -> list[Version]:
        """What a name has shown, newest first. Raises NotFound."""
        await self.find(name, space)
        rows = await self._metadata.fetch(_VERSIONS, name.encode())
        return [Version.model_validate(dict(zip(Version.model_fields, row, strict=True))) for row in rows]

    async def image_of(self, name: str, version: int, space: str | None = None) -> str:
        """The image that a name showed in a version. Raises NotFound."""
        await self.find(name, space)
        for (image_id,) in await self._metadata.fetch(_VERSION, name.encode(), version):
            return str(image_id)
        raise NotFound(f"the name {name} has no version {version}; list its versions")

    async def check(self, name: str, by: Identity, space: str | None = None) -> Name | None:
        """The name, if it exists. Raises Forbidden if `by` may not make it show an image, or one of this space."""
        found = await self._find(checked_name(name))
        if found and not by.sees(found.space):
            raise Forbidden(f"the name {name} is taken by another space; choose another one")
        if found and space not in {None, found.space}:
            raise Forbidden(
                f"the name {name} belongs to the space {found.space!r}, and the image to {space!r}; use an image of the"
                " same space"
            )
        return found

    async def point(self, name: str, image: ImageRecord, by: Identity) -> Pointed:
        """Make a name show an image. When this returns, nobody gets the picture before.

        That takes ten seconds if a cache cannot be purged. Raises Forbidden if the name belongs to another space than
        the image.
        """
        while True:
            before = await self.check(name, by, image.space)
            now = datetime.now(UTC)
            if before is None:
                if await self._create(name, image, now, by):
                    break
            elif await self._replace(before, image, now, by):
                break
        rows = await self._metadata.fetch(_MADE, name.encode(), image.image_id, now)
        version = int(rows[0][0]) if rows else 1  # it may have been removed meanwhile
        shown = Name(name=name, space=image.space, image_id=image.image_id, version=version, changed_at=now)
        return Pointed(shown, before is None)

    async def _create(self, name: str, image: ImageRecord, now: datetime, by: Identity) -> bool:
        """No cache keeps that a name does not exist, so nothing has to be purged. False if somebody was faster."""
        create = (_CREATE, name.encode(), image.space, image.image_id, now)
        entry = self._entry(Action.NAME, name, image.space, by)
        return await self._metadata.change_together(create, (_REMEMBER, name.encode()), entry=entry)

    async def _replace(self, before: Name, image: ImageRecord, now: datetime, by: Identity) -> bool:
        name = before.name.encode()
        change = await self._prepare(before.name)
        if change is None:
            return False
        if change.is_late:
            raise Unavailable(
                f"the name {before.name} could not be changed in time; send the same again as"
                f' {{"image_id": "{image.image_id}"}}, since the image is stored'
            )
        before = await self._find(before.name) or before
        events = await self._events.about(
            EventType.REPLACED, image, name=before.name, previous_image_id=before.image_id
        )
        values = (image.image_id, now, change.mark, change.earlier, before.space)
        others = ((_REMEMBER, name), (_FORGET_OLD, name, MOST_VERSIONS), *events)
        entry = self._entry(Action.NAME, before.name, before.space, by)
        if not await self._metadata.change_together((_REPLACE, name, *values), *others, entry=entry):
            return False
        self._events.added()
        if change.is_late:  # the database was slow, and the mark may have ended before the change
            await self._settle(before.name)
        return True

    async def remove(self, name: str, by: Identity) -> None:
        """Remove a name. The images that it has shown stay. Raises NotFound."""
        found, key = await self.find(name, by.space), name.encode()
        if change := await self._prepare(name):
            entry = self._entry(Action.NAME_REMOVE, name, found.space, by)
            if await self._metadata.change_together((_REMOVE, key, found.space), (_FORGET, key), entry=entry):
                if change.is_late:
                    await self._settle(name)
                return
        raise NotFound(f"the name {name} does not exist")

    async def _prepare(self, name: str) -> "_Change | None":
        """Begin a change: no cache keeps what the name shows now, nor will it keep an answer from before the change.

        Returns None if the name does not exist.
        """
        change = await self._mark(name)
        if change:
            await self._settle(name)
        return change

    async def _settle(self, name: str) -> None:
        """Wait until no cache keeps an answer from before this call, provided that no new one may be kept."""
        if not self._caches.remote:
            return
        forgotten = time.monotonic() + _KEPT_SECONDS
        await asyncio.sleep(_SETTLE_SECONDS)
        # A cache tells nobody when it is back.
        while not await self._purged(name) and time.monotonic() < forgotten:  # noqa: ASYNC110
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _purged(self, name: str) -> bool:
        """Whether every cache has forgotten what the name showed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PURGE_SECONDS):
                return await self._caches.purge(PurgeOrder("", None, name=name))
        return False

    async def _mark(self, name: str) -> "_Change | None":
        """Mark a name as changing. Others may change it at the same time, each with a mark of its own."""
        while True:
            latest = time.monotonic() + _CHANGE_SECONDS
            found = await self._find(name)
            if found is None:
                return None
            mark = max(found.changing_until + 1, _now() + int(_MARK_SECONDS * 1e6))
            # Unless it has another mark by now: what this change restores at its end has to be the latest one.
            if await self._metadata.change(_MARK, name.encode(), mark, found.changing_until):
                return _Change(mark, found.changing_until, latest)

    def _entry(self, action: Action, name: str, space: str, by: Identity) -> AuditEntry | None:
        return self._audit.entry(by.key_id, action, name, space)


@dataclass(frozen=True, slots=True)
class _Change:
    """A change that has begun."""

    mark: int
    earlier: int
    """The mark before, whose change may still go on. It holds again when this one is over."""
    latest: float
    """When the change has to be made (time.monotonic)."""

    @property
    def is_late(self) -> bool:
        """Whether caches may keep answers again, since the mark may have ended."""
        return time.monotonic() > self.latest


def _now() -> int:
    return time.time_ns() // 1000
