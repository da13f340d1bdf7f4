"""Changes what is said about images, and who may see them."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from service_kit.access import Identity, Scope, Visibility
from service_kit.errors import Forbidden
from storage_service.audit import Action, AuditTrail
from storage_service.events import Events, EventType
from storage_service.library import Library
from storage_service.metadata.base import ImageRecord, Labels, MetadataStore, PendingPurge, Statement
from storage_service.purging import Purger, announcement
from storage_service.terms import FOUND_BY, changed_terms

_UNSEEN = frozenset({"original_filename", "title", "alt", "tags", "metadata"})
"""Columns that change no picture."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is changed of an image: the labels that were set, and the visibility unless it is None."""

    labels: Labels
    visibility: Visibility | None = None

    def columns(self) -> dict[str, object]:
        """The new values of columns."""
        shown = {"visibility": self.visibility.value} if self.visibility else {}
        return self.labels.model_dump(exclude_unset=True) | shown


class Changes:
    """Changes images."""

    def __init__(
        self, metadata: MetadataStore, library: Library, purger: Purger, audit: AuditTrail, events: Events
    ) -> None:
        self._metadata = metadata
        self._events = events
        self._library = library
        self._purger = purger
        self._audit = audit

    async def apply(self, image_id: str, change: Change, by: Identity) -> ImageRecord:
        """Change an image, and return its record. Raises the errors of `Library.find`, and Forbidden.

        What changes pictures, or who gets them, is removed from caches when this returns.
        """
        wanted, now = change.columns(), datetime.now(UTC)
        while True:
            before = await self._library.find(image_id, by.space)
            _check_rights(before, change, by)
            columns = {name: value for name, value in wanted.items() if value != getattr(before, name)}
            if not columns or await self._change(before, columns, by, now):
                break  # otherwise, somebody else has changed it meanwhile
        if columns and not _UNSEEN.issuperset(columns):
            await self._purger.announce(PendingPurge(image_id, before.sha256, now, damaged=True))
        self._events.added()
        return await self._library.find(image_id, by.space)

    async def _change(self, before: ImageRecord, columns: Mapping[str, object], by: Identity, now: datetime) -> bool:
        """Write new values of columns, unless the words by which the image is found have changed since `before`."""
        statements = [_updated(before, columns)]
        if not FOUND_BY.isdisjoint(columns):
            statements += changed_terms(before.model_copy(update=columns))
        if not _UNSEEN.issuperset(columns):
            statements.append(announcement(before.image_id, now))
        released = (
            before.visibility == Visibility.PENDING
            and columns.get("visibility", Visibility.PENDING) != Visibility.PENDING
        )
        kind = EventType.RELEASED if released else EventType.UPDATED
        statements += await self._events.about(kind, before.model_copy(update=dict(columns)), changed=_named(columns))
        action = Action.VISIBILITY if "visibility" in columns else Action.METADATA
        entry = self._audit.entry(by.key_id, action, before.image_id, before.space)
        try:
            return await self._metadata.change_together(*statements, entry=entry)
        except asyncio.CancelledError:
            self._purger.look_soon()
            raise


def _check_rights(before: ImageRecord, change: Change, by: Identity) -> None:
    """Raise Forbidden if the change takes another scope. Who may upload may not release."""
    releases = change.visibility is not None and before.visibility == Visibility.PENDING
    labels = change.labels.model_fields_set
    if releases and change.visibility != Visibility.PENDING and not by.may(Scope.MODERATE):
        raise _lacks(Scope.MODERATE, "releasing a pending image")
    if (labels or not releases) and not by.may(Scope.UPLOAD):
        what = "changing what is said about an image" if labels else "changing who may see an image"
        raise Forbidden(f"{what} requires the scope `{Scope.UPLOAD}`; use a key that has it")
    if change.visibility is Visibility.PUBLIC and not releases and not by.may(Scope.READ):
        raise _lacks(Scope.READ, "making an image public")


def _lacks(scope: Scope, what: str) -> Forbidden:
    return Forbidden(f"{what} requires the scope `{scope}` as well; use a key that has it")


def _named(columns: Iterable[str]) -> list[str]:
    """What was changed, as clients call it."""
    return sorted({"focus" if name.startswith("focus_") else name for name in columns})


def _updated(before: ImageRecord, columns: Mapping[str, object]) -> Statement:
    """The statement that writes new values of columns. It changes nothing if somebody has changed the words meanwhile.

    Otherwise the terms of one change would replace those of the other. Nor if the visibility has changed, on which the
    right to change it depends.
    """
    changes = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, 2))
    words = [] if FOUND_BY.isdisjoint(columns) else sorted(FOUND_BY)
    words += ["visibility"] if "visibility" in columns else []
    same = "".join(f" AND {name} = ${number}" for number, name in enumerate(words, len(columns) + 2))
    values = (before.image_id, *columns.values(), *(getattr(before, name) for name in words))
    return (f"UPDATE images SET {changes} WHERE image_id = $1 AND deleted_at IS NULL{same}", *values)  # noqa: S608
