"""Keys of clients: making them, revoking them, and recognising them."""

import asyncio
import hmac
import logging
import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cachetools import TTLCache

from service_kit import signing
from service_kit.access import Identity, Scope, check_space
from service_kit.errors import BadRequest, Forbidden, NotFound, ServiceError, WrongCredential
from storage_service.audit import COMMAND_LINE, Action, AuditTrail
from storage_service.credentials import digest, is_right
from storage_service.metadata.base import KeyRecord, MetadataStore

_KEY = re.compile("ik_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[\w .@:/+-]{1,64}")
_KNOWN_SECONDS = 1.0
"""How long an answer is remembered. A revocation takes effect within 5 s, and others remember what this says, too."""
_REMEMBERED = 10_000
_NOTED_EVERY = timedelta(minutes=1)
"""How precisely the last use of a key is known."""
_REFUSAL_SECONDS = 0.05
"""From the arrival of a wrong key to its refusal. Much longer than finding a key takes, so the time says nothing."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. Its secret is shown now, and never again."""

    record: KeyRecord
    key: str
    signing_secret: str | None = None
    """If it may sign URLs."""


class Keyring:
    """All keys. An Authority."""

    def __init__(self, metadata: MetadataStore, audit: AuditTrail, master: bytes) -> None:
        """`master` is the secret in ACCESS_SECRET_FILE, from which signing secrets are derived."""
        self._metadata = metadata
        self._audit = audit
        self._master = master
        self._known: TTLCache[str, Identity | Forbidden] = TTLCache(_REMEMBERED, _KNOWN_SECONDS)
        """Identities, or why there is none, by digest of the key."""
        self._signers: TTLCache[str, KeyRecord | None] = TTLCache(_REMEMBERED, _KNOWN_SECONDS)
        """Keys with a right signature, by ID."""

    async def create(
        self,
        name: str,
        scopes: Collection[str],
        expires_at: datetime | None = None,
        space: str | None = None,
        by: str = COMMAND_LINE,
    ) -> NewKey:
        """Make a key. `by` is the ID of the key that asks for it.

        Raises BadRequest if a scope is unknown, a name is not valid, or the expiry has passed.
        """
        new = self._new(name, scopes, expires_at, space)
        await self._metadata.add_key(new.record, self._audit.entry(by, Action.KEY_CREATE, new.record.key_id, space))
        return new

    async def create_first(self) -> NewKey | None:
        """Make a key with the scope `admin` if there has never been any key; otherwise None."""
        new = self._new("first", [Scope.ADMIN], None, None)
        entry = self._audit.entry(COMMAND_LINE, Action.KEY_CREATE, new.record.key_id)
        return new if await self._metadata.add_first_key(new.record, entry) else None

    async def check(self, key_id: str) -> None:
        """Raise Forbidden unless the key exists and works."""
        record = await self._metadata.find_key(key_id)
        fault = _fault(record, datetime.now(UTC)) if record else "the key does not exist"
        if fault:
            raise Forbidden(fault)

    async def name_of(self, key_id: str) -> str | None:
        """The name of a key; None if there is none with this ID."""
        record = await self._metadata.find_key(key_id)
        return record.name if record else None

    def _new(self, name: str, scopes: Collection[str], expires_at: datetime | None, space: str | None) -> NewKey:
        new = _new(name, scopes, expires_at, space)
        key_id = new.record.key_id
        if not _identity(new.record).may(Scope.SIGN):
            return new
        return replace(new, signing_secret=self.signing_secret(key_id))

    async def all(self) -> list[KeyRecord]:
        """All keys, oldest first."""
        return await self._metadata.keys()

    async def revoke(self, key_id: str, by: str = COMMAND_LINE) -> None:
        """Revoke a key. It is refused everywhere within 5 s. Raises NotFound if the key does not exist."""
        entry = self._audit.entry(by, Action.KEY_REVOKE, key_id)
        if not await self._metadata.revoke_key(key_id, datetime.now(UTC), entry) and not await self._metadata.find_key(
            key_id
        ):
            raise NotFound(f"there is no key {key_id[:64]!r}; list the keys to see their IDs")

    async def rotate(self, key_id: str, overlap: timedelta, by: str = COMMAND_LINE) -> NewKey:
        """Make a new key with the name, the scopes and the lifetime of another one, which expires after `overlap`.

        Raises NotFound if the key does not exist, or no longer works.
        """
        old = await self._metadata.find_key(key_id)
        now = datetime.now(UTC)
        if old is None or _fault(old, now):
            raise NotFound(f"there is no key {key_id[:64]!r} that works; list the keys to see their IDs")
        expires_at = now + (old.expires_at - old.created_at) if old.expires_at else None
        new = self._new(old.name, old.scopes.split(), expires_at, old.space)
        entry = self._audit.entry(by, Action.KEY_ROTATE, key_id, old.space)
        await self._metadata.add_key(new.record, entry, expire=(key_id, now + overlap))
        return new

    async def identify(self, key: str) -> Identity:
        """See Authority."""
        refused_at = time.monotonic() + _REFUSAL_SECONDS
        known_as = digest(key)
        answer = self._known.get(known_as)
        if answer is None:
            answer = await self._answer(key)
            self._known[known_as] = answer
        if isinstance(answer, Forbidden):
            await asyncio.sleep(max(0.0, refused_at - time.monotonic()))
            raise type(answer)(answer.detail)
        return answer

    async def verify(self, target: str) -> Identity:
        """See Authority. Only who has a right signature learns what is wrong with its key."""
        url = signing.taken_apart(target)
        if url is None:
            raise WrongCredential("the URL is not signed")
        secret = signing.derived_secret(self._master, url.key_id)
        if not hmac.compare_digest(signing.signature_of(url.text, secret), url.signature):
            raise WrongCredential("the signature is not valid")
        signer = self._signers.get(url.key_id)
        if signer is None:
            signer = self._signers[url.key_id] = await self._metadata.find_key(url.key_id)
            if signer:
                await self._note_use(signer, datetime.now(UTC))
        now = datetime.now(UTC)
        fault = _fault(signer, now) if signer else "the key does not exist"
        if signer is None or fault:
            raise Forbidden(f"the signature is not valid any more: {fault}")
        identity = _identity(signer)
        if not identity.may(Scope.SIGN):
            raise Forbidden(f"the key of the signature lacks the scope `{Scope.SIGN}`")
        if url.expires is not None and url.expires <= now.timestamp():
            raise Forbidden("the signature has expired; ask for a new URL")
        ends = [end for end in (url.expires, identity.until) if end is not None]
        until = float(min(ends)) if ends else None
        return Identity(identity.key_id, frozenset({Scope.READ}), identity.space, until, signed=True)

    def signing_secret(self, key_id: str) -> str:
        """The signing secret of a key, as it is shown."""
        return signing.shown(key_id, signing.derived_secret(self._master, key_id))

    async def _answer(self, key: str) -> Identity | Forbidden:
        """Whose key this is, or why it is refused. Only its owner learns more than that it is not valid."""
        match = _KEY.fullmatch(key)
        record = await self._metadata.find_key(match[1]) if match else None
        is_key = is_right(match[2] if match else None, record.digest if record else None)
        if record is None or not is_key:
            return WrongCredential("the key is not valid; check that all of it was copied")
        now = datetime.now(UTC)
        if fault := _fault(record, now):
            return Forbidden(fault)
        await self._note_use(record, now)
        return _identity(record)

    async def _note_use(self, record: KeyRecord, now: datetime) -> None:
        if record.used_at is not None and record.used_at >= now - _NOTED_EVERY:
            return
        try:
            await self._metadata.note_use(record.key_id, now)
        except ServiceError as error:  # the key is right anyway
            logger.warning("cannot note the use of key %s: %s", record.key_id, error)


def _identity(record: KeyRecord) -> Identity:
    scopes = frozenset(Scope(scope) for scope in record.scopes.split())
    return Identity(record.key_id, scopes, record.space, record.expires_at.timestamp() if record.expires_at else None)


def _new(name: str, scopes: Collection[str], expires_at: datetime | None, space: str | None) -> NewKey:
    now = datetime.now(UTC)
    if space is not None:
        check_space(space)
    if not _NAME.fullmatch(name):
        raise BadRequest(f"{name[:80]!r} is not a name for a key; use 1 to 64 letters, digits, spaces and .@:/+-_")
    for scope in scopes:
        if scope not in {*Scope}:
            raise BadRequest(f"{scope[:64]!r} is not a scope; use {', '.join(Scope)}")
    if not scopes:
        raise BadRequest(f"a key needs a scope; use one or more of {', '.join(Scope)}")
    if space is not None and Scope.ADMIN in scopes:
        raise BadRequest(f"a key with the scope `{Scope.ADMIN}` may use all spaces; leave out the space, or the scope")
    if expires_at and expires_at <= now:
        raise BadRequest(f"the key would have expired at {expires_at.isoformat()}; choose a time in the future")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    record = KeyRecord(
        key_id=key_id,
        digest=digest(secret),
        name=name,
        scopes=" ".join(scope for scope in Scope if scope in scopes),
        created_at=now,
        expires_at=expires_at,
        space=space,
    )
    return NewKey(record, f"ik_{key_id}_{secret}")


def _fault(key: KeyRecord, now: datetime) -> str:
    """Why a key no longer works; empty if it does."""
    if key.revoked_at:
        return "the key was revoked; ask for a new one"
    if key.expires_at and key.expires_at <= now:
        return f"the key expired at {key.expires_at.astimezone(UTC).isoformat(timespec='seconds')}; ask for a new one"
    return ""
