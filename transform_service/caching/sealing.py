"""Seals values that are kept where others may write: what was not sealed with our secret for this key is ignored."""

import hmac
import struct
import time

_VERSION = 1
_HEAD = struct.Struct(">BQ")
"""The version of the seal, and when the value expires, in milliseconds since 1970."""
_MAC_BYTES = 32
SEAL_BYTES = _HEAD.size + _MAC_BYTES
"""The bytes of a seal, which stands before its value."""
LEAST_SECRET = 32
"""Characters."""
_SKEW_SECONDS = 60
"""How far the clocks of nodes may differ. An old value that someone puts back is valid for so much longer."""


class Seal:
    """Seals values with a secret that all nodes share: HMAC-SHA256 of version, key, expiry and value."""

    def __init__(self, secret: str) -> None:
        """Raises ValueError for a secret that can be guessed."""
        if len(secret) < LEAST_SECRET:
            raise ValueError(
                f"CACHE_KEY has {len(secret)} characters; use at least {LEAST_SECRET} (openssl rand -hex 32)"
            )
        self._secret = secret.encode()

    def close(self, key: str, value: bytes, seconds: float) -> bytes:
        """Seal a value that expires after `seconds`. Only `open` with the same key accepts it."""
        head = _HEAD.pack(_VERSION, int((time.time() + seconds) * 1000))
        return head + self._mac(key, head, value) + value

    def open(self, key: str, sealed: bytes) -> bytes | None:
        """The value; None if it has expired, or if it was not sealed for this key with this secret and version."""
        if len(sealed) < SEAL_BYTES:
            return None
        head, mac, value = sealed[: _HEAD.size], sealed[_HEAD.size : SEAL_BYTES], sealed[SEAL_BYTES:]
        if not hmac.compare_digest(mac, self._mac(key, head, value)):
            return None
        version, expires = _HEAD.unpack(head)
        if version != _VERSION or expires < (time.time() - _SKEW_SECONDS) * 1000:
            return None
        return value

    def _mac(self, key: str, head: bytes, value: bytes) -> bytes:
        name = key.encode()
        mac = hmac.new(self._secret, b"imgsvc" + len(name).to_bytes(4) + name + head, "sha256")
        mac.update(value)
        return mac.digest()
