"""Upload tokens: with one, a web page may upload once, or a few times, without a key."""

import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service_kit.access import DEFAULT_SPACE, TOKEN_PREFIX, Identity
from service_kit.errors import Forbidden, ServiceError, Unavailable, WrongCredential
from storage_service.audit import Action, AuditTrail
from storage_service.credentials import digest, is_right
from storage_service.keyring import Keyring
from storage_service.metadata.base import MetadataStore, TokenRecord

_TOKEN = re.compile(TOKEN_PREFIX + "([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Wish:
    """What an upload token should allow."""

    max_bytes: int
    formats: Sequence[str]
    uses: int
    lifetime: timedelta
    visibility: str


@dataclass(slots=True)
class Use:
    """One use of a token."""

    token: TokenRecord
    is_storing: bool = False
    """Whether the whole upload has been received, so that it may be stored whatever happens to the client."""


class UploadTokens:
    """All upload tokens."""

    def __init__(self, metadata: MetadataStore, keyring: Keyring, audit: AuditTrail) -> None:
        self._metadata = metadata
        self._keyring = keyring
        self._audit = audit

    async def create(self, owner: Identity, wish: Wish, space: str | None) -> tuple[TokenRecord, str]:
        """Make a token for the space of `owner`, or for `space`. Returns it with its text, which is not kept."""
        token_id, secret, now = secrets.token_hex(8), secrets.token_urlsafe(32), datetime.now(UTC)
        record = TokenRecord(
            token_id=token_id,
            digest=digest(secret),
            key_id=owner.key_id,
            space=owner.space or space or DEFAULT_SPACE,
            visibility=wish.visibility,
            formats=" ".join(wish.formats),
            max_bytes=wish.max_bytes,
            uses_left=wish.uses,
            expires_at=now + wish.lifetime,
        )
        await self._metadata.add_token(
            record, now, self._audit.entry(owner.key_id, Action.TOKEN, token_id, record.space)
        )
        return record, f"{TOKEN_PREFIX}{token_id}_{secret}"

    @asynccontextmanager
    async def used(self, token: str) -> AsyncIterator[Use]:
        """A context in which an upload uses the token once. If it certainly stores nothing, the use is given back.

        Raises WrongCredential for a token that was never right, and Forbidden for one that is used or expired, or whose
        key no longer works.
        """
        record = await self._found(token)
        if not await self._metadata.take_use(record.token_id):
            raise Forbidden("the upload token was used already; ask for a new one")
        use = Use(record)
        try:
            yield use
        except BaseException as error:
            refused = isinstance(error, ServiceError) and not isinstance(error, Unavailable)
            if refused or not use.is_storing:  # otherwise the image may be stored: the client or the database is gone
                await self._metadata.give_back_use(record.token_id)
            raise

    async def _found(self, token: str) -> TokenRecord:
        match = _TOKEN.fullmatch(token)
        record = await self._metadata.find_token(match[1]) if match else None
        is_token = is_right(match[2] if match else None, record.digest if record else None)
        if record is None or not is_token:
            raise WrongCredential("the upload token is not valid, or expired a while ago; ask for a new one")
        if record.expires_at <= datetime.now(UTC):
            raise Forbidden("the upload token has expired; ask for a new one")
        if record.key_id:
            await self._keyring.check(record.key_id)
        return record
