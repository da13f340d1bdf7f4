"""Notices that the access secret has changed, as after a restore without it: what the old one signed stops working."""

import hashlib
import hmac
import logging
from datetime import UTC, datetime

from service_kit.errors import ServiceError
from storage_service.audit import SERVICE, Action, AuditTrail
from storage_service.events import now_ms
from storage_service.metadata.base import MetadataStore

_RECENT_MS = 7 * 86_400_000
_FIRST = "INSERT INTO access_secrets (place, fingerprint) VALUES (1, $1) ON CONFLICT (place) DO NOTHING"
_REPLACE = "UPDATE access_secrets SET fingerprint = $1, replaced_at = $2 WHERE place = 1 AND fingerprint <> $1"

logger = logging.getLogger(__name__)


async def note(metadata: MetadataStore, audit: AuditTrail, secret: bytes) -> None:
    """Remember the secret by its fingerprint. If it was another one before, say so: in the log, and in the audit trail.

    Of several processes that start with it, one does.
    """
    fingerprint = hmac.digest(secret, b"fingerprint", hashlib.sha256).hex()[:16]
    try:
        if await metadata.change(_FIRST, fingerprint):
            return
        entry = audit.entry(SERVICE, Action.ACCESS_SECRET, fingerprint)
        if await metadata.change_together((_REPLACE, fingerprint, now_ms()), entry=entry):
            logger.error(
                "the access secret is not the one that was used before: URLs that were signed with that one answer 403,"
                " and receivers refuse events; restore it (docs/production.md, Back up and restore), or sign and rotate"
                " again. If this is the right one again, nothing is left to do"
            )
    except ServiceError as error:
        logger.warning("the access secret was not compared with the one before: %s", error)


async def replaced_at(metadata: MetadataStore) -> datetime | None:
    """When the secret that is in use took the place of another one; None: it did not in the last seven days."""
    query = "SELECT replaced_at FROM access_secrets WHERE replaced_at > $1"
    for (moment,) in await metadata.fetch(query, now_ms() - _RECENT_MS):
        return datetime.fromtimestamp(moment / 1000, UTC)
    return None
