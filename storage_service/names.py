"""Names: URLs that people choose. What a name shows can be replaced, and nobody sees the old picture afterwards."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from service_kit.access import Identity
from service_kit.errors import BadRequest, Forbidden, NotFound, Unavailable
from storage_service.audit import Action, AuditTrail
from storage_service.caches import Caches
from storage_service.events import Events, EventType
from storage_service.metadata.base import AuditEntry, ImageRecord, MetadataStore
from storage_service.settling import Settling, now

MOST_VERSIONS = 100
"""Older versions of a name are forgotten. Their images stay."""
_LONGEST = 200
_PART = "[A-Za-z0-9_~-][A-Za-z0-9._~-]*"
_TWO_ENDS = re.compile(r"\.\w{2,5}\.\w{2,5}$")
NAME_PATTERN = re.compile(f"{_PART}(?:/{_PART})*")

_COLUMNS = "name, space, image_id, version, changed_at"
_SELECT = f"SELECT {_COLUMNS}, changing_until FROM names WHERE name = $1"  # noqa: S608
_LIST = f"SELECT {_COLUMNS}, changing_until FROM names WHERE name > $1 AND name >= $2 AND name < $3"  # noqa: S608
_LAST = b"\x7f"
"""Behind all characters of names."""
_CREATE = f"INSERT INTO names ({_COLUMNS}) VALUES ($1, $2, $3, 1, $4) ON CONFLICT (name) DO NOTHING"  # noqa: S608
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
        return self.changing_until > now()


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


def _unknown(name: str) -> NotFound:
    advice = "; a name has one extension, and `?format=webp` asks for another format" if _TWO_ENDS.search(name) else ""
    return NotFound(f"the name {name} does not exist{advice}")


class Names:
    """All names. A change takes 0.3 s if there are caches: first none may keep the old answer, then it changes."""

    def __init__(self, metadata: MetadataStore, caches: Caches, audit: AuditTrail, events: Events) -> None:
        self._metadata = metadata
        self._settling = Settling(metadata, caches)
        self._audit = audit
        self._events = events

    async def find(self, name: str, space: str | None = None) -> Name:
        """What a name shows. Unless `space` is None, names of other spaces do not exist. Raises NotFound."""
        found = await self._find(checked_name(name))
        if found is None or space not in {None, found.space}:
            raise _unknown(name)
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
            at = datetime.now(UTC)
            if before is None:
                if await self._create(name, image, at, by):
                    break
            elif await self._replace(before, image, at, by):
                break
        rows = await self._metadata.fetch(_MADE, name.encode(), image.image_id, at)
        version = int(rows[0][0]) if rows else 1  # it may have been removed meanwhile
        shown = Name(name=name, space=image.space, image_id=image.image_id, version=version, changed_at=at)
        return Pointed(shown, before is None)

    async def _create(self, name: str, image: ImageRecord, at: datetime, by: Identity) -> bool:
        """No cache keeps that a name does not exist, so nothing has to be purged. False if somebody was faster."""
        create = (_CREATE, name.encode(), image.space, image.image_id, at)
        entry = self._entry(Action.NAME, name, image.space, by)
        return await self._metadata.change_together(create, (_REMEMBER, name.encode()), entry=entry)

    async def _replace(self, before: Name, image: ImageRecord, at: datetime, by: Identity) -> bool:
        name = before.name.encode()
        change = await self._settling.prepare(before.name)
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
        values = (image.image_id, at, change.mark, change.earlier, before.space)
        others = ((_REMEMBER, name), (_FORGET_OLD, name, MOST_VERSIONS), *events)
        entry = self._entry(Action.NAME, before.name, before.space, by)
        if not await self._metadata.change_together((_REPLACE, name, *values), *others, entry=entry):
            return False
        self._events.added()
        if change.is_late:  # the database was slow, and the mark may have ended before the change
            await self._settling.settle(before.name)
        return True

    async def remove(self, name: str, by: Identity) -> None:
        """Remove a name. The images that it has shown stay. Raises NotFound."""
        found, key = await self.find(name, by.space), name.encode()
        if change := await self._settling.prepare(name):
            entry = self._entry(Action.NAME_REMOVE, name, found.space, by)
            if await self._metadata.change_together((_REMOVE, key, found.space), (_FORGET, key), entry=entry):
                if change.is_late:
                    await self._settling.settle(name)
                return
        raise _unknown(name)

    def _entry(self, action: Action, name: str, space: str, by: Identity) -> AuditEntry | None:
        return self._audit.entry(by.key_id, action, name, space)
