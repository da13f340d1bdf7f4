"""Events: adds them to the outbox of each webhook that wants them, in the transaction of the change."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum

from storage_service.metadata.base import ImageRecord, MetadataStore, Statement

GIVE_UP_MS = 24 * 3_600_000
"""How long an event is sent again before it counts as failed."""
_KNOWN_SECONDS = 1.0
"""How long it is remembered whether there is a webhook, so that uploads need no query of their own."""
_ADD = """
    INSERT INTO deliveries
        (webhook_id, event_id, type, body, added_at, due_at, give_up_at, attempts, status, reason, answer)
    SELECT webhook_id, $1, $2, $3, $4, $4, $5, 0, 0, '', '' FROM webhooks
    WHERE disabled_at IS NULL AND (space IS NULL OR space = $6) AND (events = '' OR ' ' || events || ' ' LIKE $7)
"""
_ANY = "SELECT 1 FROM webhooks WHERE disabled_at IS NULL LIMIT 1"


class EventType(StrEnum):
    """What happened."""

    CREATED = "image.created"
    """An image was uploaded."""
    UPDATED = "image.updated"
    """What is said about an image, or who may see it, was changed."""
    RELEASED = "image.released"
    """A pending image was released."""
    REPLACED = "image.replaced"
    """A name shows another image than before."""
    PRECOMPUTED = "image.precomputed"
    """The job for an image is done: its levels and its precomputed variants are stored."""
    DELETED = "image.deleted"
    """An image was deleted or has expired."""


TEST = "webhook.test"
"""The type of the event that a test sends."""
Describe = Callable[[ImageRecord], Mapping[str, object]]
"""Makes JSON of an image, as clients see it."""


class Events:
    """Makes the statements that add events. A change runs them in its own transaction, and calls `added` afterwards."""

    def __init__(self, metadata: MetadataStore, describe: Describe) -> None:
        self._metadata = metadata
        self._describe = describe
        self._are_wanted = False
        self._known_until = 0.0
        self.on_added: Callable[[], None] = lambda: None
        """Called after an event may have been added."""

    async def about(self, kind: EventType, record: ImageRecord, **more: object) -> list[Statement]:
        """The statements that add an event about an image, none without a webhook. `more` is said beside the image."""
        if not await self.are_wanted():
            return []
        now = now_ms()
        body = event_body(kind, now, {"image": self._describe(record), **more})
        return [(_ADD, new_event_id(), kind.value, body, now, now + GIVE_UP_MS, record.space, f"% {kind} %")]

    def added(self) -> None:
        """Send soon what was added. What a process adds that dies before is sent some seconds later."""
        self.on_added()

    def look_again(self) -> None:
        """Forget whether there is a webhook: one was made."""
        self._known_until = 0.0

    async def are_wanted(self) -> bool:
        """Whether there is a webhook."""
        if time.monotonic() >= self._known_until:
            self._are_wanted = bool(await self._metadata.fetch(_ANY))
            self._known_until = time.monotonic() + _KNOWN_SECONDS
        return self._are_wanted


def event_body(kind: str, moment: int, data: Mapping[str, object]) -> str:
    """The JSON of an event that happened at `moment` (milliseconds since 1970)."""
    timestamp = datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"type": kind, "timestamp": timestamp, "data": data}, ensure_ascii=False, separators=(",", ":"))


def new_event_id() -> str:
    """The ID of an event, which is the same each time that it is sent."""
    return f"evt_{secrets.token_hex(12)}"


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
