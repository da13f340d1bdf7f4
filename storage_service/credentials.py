"""Secrets of keys and upload tokens, of which only a digest is stored."""

import hashlib
import hmac

_NOBODY = "0" * 64
"""A digest that matches no secret. It stands in for a missing record, so that the comparison takes as long."""


def digest(secret: str) -> str:
    """The SHA-256, in hex. Nobody can guess a secret of 256 random bits, so a slow hash would protect nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_right(secret: str | None, stored: str | None) -> bool:
    """Whether a secret has this digest. Takes the same time whatever is wrong; None: there is none."""
    return hmac.compare_digest(stored or _NOBODY, digest(secret or ""))
