"""Notices another access secret than before, as after a restore without it: what the old one signed stops working."""

import hashlib
import hmac
import logging
from datetime import UTC, datetime

from service_kit.errors import ServiceError
from storage_service.audit import COMMAND_LINE, Action, AuditTrail
from storage_service.events import now_ms
from storage_service.metadata.base import MetadataStore

_RECENT_MS = 30 * 86_400_000
_NOTE = """
    INSERT INTO access_secrets (fingerprint, first_used_at, used_at) VALUES ($1, $2, $2)
    ON CONFLICT (fingerprint) DO UPDATE SET used_at = excluded.used_at
"""
_KNOWN = "SELECT fingerprint, first_used_at FROM access_secrets ORDER BY used_at DESC"

logger = logging.getLogger(__name__)


async def note(metadata: MetadataStore, audit: AuditTrail, secret: bytes) -> None:
    """Remember the secret by its fingerprint. A new one in place of another gets an ERROR and an audit entry."""
    fingerprint = hmac.digest(secret, b"fingerprint", hashlib.sha256).hex()[:16]
    try:
        known = [row[0] for row in await metadata.fetch(_KNOWN)]
        await metadata.change(_NOTE, fingerprint, now_ms())
        if known and fingerprint not in known:
            logger.error(
                "the access secret is not the one that was used before: URLs that clients have signed answer 403, and"
                " receivers refuse events; restore the old secret (docs/production.md, Back up and restore), or sign"
                " and rotate again"
            )
            await audit.add(COMMAND_LINE, Action.ACCESS_SECRET, fingerprint)
    except ServiceError as error:
        logger.warning("the access secret was not compared with the one before: %s", error)


async def replaced_at(metadata: MetadataStore) -> datetime | None:
    """When the secret that is in use took the place of another one; None: it did not in the last 30 days."""
    current, *others = await metadata.fetch(_KNOWN) or [("", 0)]
    if others and current[1] > max(since for _, since in others) and current[1] > now_ms() - _RECENT_MS:
        return datetime.fromtimestamp(current[1] / 1000, UTC)
    return None
