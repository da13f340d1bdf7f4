"""Who may do what: how open a deployment is, and what a client may do."""

import ipaddress
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit

from service_kit.errors import BadRequest, Forbidden, Hidden, Unauthorized


class Mode(StrEnum):
    """How open a deployment is."""

    LOCAL = "local"
    """Only this machine reaches it. Nobody needs a key, but web pages of other origins may neither list nor change."""
    KEYS = "keys"
    """Pictures are open. Everything else requires a key."""
    OPEN = "open"
    """Everybody may do everything, because the operator said so."""


class Scope(StrEnum):
    """What a key allows."""

    READ = "read"
    """Pictures of private images, and transforming images that are not stored."""
    UPLOAD = "upload"
    """Storing images, and changing who may see them."""
    LIST = "list"
    METADATA = "metadata"
    """The description of an image."""
    DELETE = "delete"
    SIGN = "sign"
    """Signed URLs: the key gets a signing secret."""
    MODERATE = "moderate"
    """Releasing pending images."""
    ADMIN = "admin"
    """Everything, and managing keys."""


class Visibility(StrEnum):
    """Who may see an image."""

    PUBLIC = "public"
    """Everybody who knows its ID."""
    PRIVATE = "private"
    """Who has a key with the scope `read`, or a signed URL."""
    PENDING = "pending"
    """Who has a key with the scope `read`, until somebody with the scope `moderate` releases it."""


TOKEN_PREFIX = "ut_"  # noqa: S105
"""Of upload tokens, which only the storage service can check."""
DEFAULT_SPACE = "default"
"""The space of images that a key without a space uploads."""
SPACE_PATTERN = "^[a-z0-9][a-z0-9_-]{0,62}$"
"""Of names of spaces."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends a request."""

    key_id: str
    """The ID of the key; empty without one."""
    scopes: frozenset[Scope]
    space: str | None = None
    """The only space that it may use; None: all."""
    until: float | None = None
    """When the right ends, in seconds since 1970; None: never."""
    signed: bool = False
    """Whether the URL is signed. The rights are for this URL only."""
    token: str = ""
    """An upload token, which only the storage service can check."""

    def may(self, scope: Scope) -> bool:
        """Whether this identity has a scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def sees(self, space: str) -> bool:
        """Whether the images of a space exist for this identity, apart from what is public."""
        return self.space in {None, space}

    def to_json(self) -> str:
        """For another service, which reads it with `identity_from`."""
        given = {"key_id": self.key_id, "space": self.space, "until": self.until, "signed": self.signed}
        return json.dumps({**given, "scopes": sorted(self.scopes)})


def identity_from(text: str | bytes) -> Identity:
    """An identity from `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
    given = json.loads(text)
    scopes = frozenset(Scope(scope) for scope in given["scopes"])
    return Identity(str(given["key_id"]), scopes, given["space"], given["until"], bool(given["signed"]))


ANYBODY = Identity("", frozenset())
"""A client without a key, where keys are on."""
EVERYTHING = Identity("", frozenset(Scope))
"""A client where nobody needs a key."""


class Authority(Protocol):
    """Knows the keys."""

    async def identify(self, key: str) -> Identity:
        """Whose key this is. Raises Forbidden, which says why; WrongCredential if it was never a key."""

    async def verify(self, target: str) -> Identity:
        """Who signed a URL, given its path and query as sent, with the right to see what it shows.

        Raises WrongCredential if the signature is wrong, and Forbidden if it has expired, or its key does not work.
        """


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may get a response from a cache."""

    space: str | None
    """The space of the private images that it shows; None: any right to see pictures is enough."""
    pending: bool = False
    """Whether it shows an image that is not released, so that no cache may keep it."""


def guard_of(visibility: str, space: str) -> Guard | None:
    """Who may get a picture of an image; None: everybody."""
    return None if visibility == Visibility.PUBLIC else Guard(space, pending=visibility == Visibility.PENDING)


def check_view(identity: Identity, image_id: str, visibility: str, space: str) -> None:
    """Raise the error for an image that this identity may not see: Unauthorized, NotFound or Forbidden."""
    if visibility == Visibility.PUBLIC:
        return
    if visibility == Visibility.PENDING and (identity is ANYBODY or identity.signed):
        refusal = Forbidden if identity.signed else Unauthorized
        raise refusal(
            f"the image {image_id} is pending; send a key with the scope `{Scope.READ}` as `Authorization: Bearer KEY`,"
            " or wait until it is released"
        )
    if identity is ANYBODY:
        raise Unauthorized(
            f"the image {image_id} is private; use a signed URL, or send a key with the scope `{Scope.READ}` as"
            " `Authorization: Bearer KEY`"
        )
    if not identity.sees(space):
        raise Hidden(f"the image {image_id} does not exist")
    if not identity.may(Scope.READ):
        raise Forbidden(f"the key lacks the scope `{Scope.READ}`; use one that has it")


def check_space(name: str) -> None:
    """Raise BadRequest unless a space may have this name."""
    if not re.fullmatch(SPACE_PATTERN.strip("^$"), name):
        raise BadRequest(f"{name[:64]!r} is not a name for a space; use 1 to 63 of a-z, 0-9, - and _")


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without a port, leads to this machine and no other."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_among(host: str, patterns: Collection[str]) -> bool:
    """Whether a host name in lower case, without a port, is one of `patterns` (service_kit/settings.py)."""
    return not {host, "*." + host.partition(".")[2], "*"}.isdisjoint(patterns)


def host_of(address: str) -> str:
    """The host in `host`, `host:port`, `[::1]:port` or a URL; empty for a mere port, which is open on every address."""
    text = address if "://" in address else f"//{address}"
    host = urlsplit(text).hostname or ""
    return "" if host.isdigit() else host


def mode_of(auth: str, addresses: Iterable[str]) -> Mode:
    """The mode for the setting AUTH, and the addresses at which clients reach the service."""
    if auth != "auto":
        return Mode(auth)
    return Mode.LOCAL if all(is_loopback(host_of(address)) for address in addresses) else Mode.KEYS
