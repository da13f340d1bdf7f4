"""The audit trail: who created, changed, deleted or signed what. Requests without a key leave no trace."""

import asyncio
import logging
import secrets
from datetime import UTC, datetime
from enum import StrEnum

from service_kit.errors import ServiceError
from service_kit.observing.logging import request_id
from storage_service.metadata.base import AuditEntry, MetadataStore

_TRIMMED_EVERY = 1000
"""Entries by one process. The table has at most so many more than it may, for each process."""
COMMAND_LINE = "cli"
"""In place of the ID of a key, for commands next to the service."""
SERVICE = "service"
"""In place of the ID of a key, for what the service does by itself."""


logger = logging.getLogger(__name__)


class Action(StrEnum):
    """What was done."""

    UPLOAD = "upload"
    DELETE = "delete"
    VISIBILITY = "visibility"
    METADATA = "metadata"
    SIGN = "sign"
    TOKEN = "token"  # noqa: S105
    KEY_CREATE = "key-create"
    KEY_REVOKE = "key-revoke"
    KEY_ROTATE = "key-rotate"
    SPACE = "space"
    WEBHOOK_CREATE = "webhook-create"
    WEBHOOK_CHANGE = "webhook-change"
    WEBHOOK_ROTATE = "webhook-rotate"
    WEBHOOK_DELETE = "webhook-delete"
    WEBHOOK_RETRY = "webhook-retry"
    NAME = "name"
    NAME_REMOVE = "name-remove"
    ACCESS_SECRET = "access-secret"  # noqa: S105


class AuditTrail:
    """Makes entries, and keeps at most `most` of them."""

    def __init__(self, metadata: MetadataStore, most: int) -> None:
        self._metadata = metadata
        self._most = most
        self._new = 0
        self._trimming: asyncio.Task[None] | None = None

    def entry(self, key_id: str, action: Action, subject: str, space: str | None = None) -> AuditEntry | None:
        """An entry, which is added together with the change that it is about; None without a key."""
        if not key_id:
            return None
        self._new += 1
        if self._new >= min(_TRIMMED_EVERY, self._most):
            self._new = 0
            self._trimming = asyncio.create_task(self.trim())
        return AuditEntry(
            entry_id=secrets.token_hex(8),
            at=datetime.now(UTC),
            key_id=key_id,
            action=action,
            subject=subject[:1024],
            space=space or "",
            request_id=request_id.get(),
        )

    async def add(self, key_id: str, action: Action, subject: str, space: str | None = None) -> None:
        """Add an entry about something that changes nothing in the database."""
        if entry := self.entry(key_id, action, subject, space):
            await self._metadata.add_entry(entry)

    async def trim(self) -> None:
        """Remove the oldest entries, if there are too many. Raises nothing: the next time does it."""
        try:
            await self._metadata.trim_audit(self._most)
        except ServiceError as error:
            logger.warning("the audit trail is longer than it may be: %s", error)

    async def close(self) -> None:
        """Wait until the trail is trimmed."""
        if self._trimming:
            await self._trimming

    async def newest(self, limit: int, key_id: str | None = None, subject: str | None = None) -> list[AuditEntry]:
        """The newest entries; those of a key or about a subject, unless these are None."""
        return await self._metadata.entries(limit, key_id, subject)
