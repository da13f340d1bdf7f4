"""Limits how many wrong keys and signatures one address may send.

Varnish does the same for what it can see (varnish/access.vcl), which costs less.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cachetools import LRUCache, TTLCache

from service_kit.errors import TooManyRequests, WrongCredential

_MOST, _SECONDS = 30, 10
"""Wrong credentials of one address in so many seconds."""
_ADDRESSES, _RIGHT, _RIGHT_SECONDS = 10_000, 10_000, 3600


T = TypeVar("T")


class Throttle:
    """Counts wrong credentials by address. Credentials that were right within an hour are never refused.

    So a client does not notice if somebody else guesses from its address, which may be that of a proxy.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: LRUCache[str, tuple[float, float]] = LRUCache(_ADDRESSES)
        """The number of wrong credentials by address, as it was at a time. It sinks steadily."""
        self._right: TTLCache[bytes, bool] = TTLCache(_RIGHT, _RIGHT_SECONDS, clock)

    async def checked(self, address: str, credential: str, use: Callable[[], Awaitable[T]]) -> T:
        """The result of `use`, which raises WrongCredential if the credential is wrong. Else raises TooManyRequests.

        For a signature, `credential` is the ID of its key: checking one of a known key costs next to nothing.
        """
        digest = hashlib.sha256(credential.encode("utf-8", "surrogateescape")).digest()
        exhausted = self._number(address) >= _MOST
        if exhausted and digest not in self._right:
            raise _too_many()
        try:
            result = await use()
        except WrongCredential:
            self._wrong[address] = (self._number(address) + 1, self._clock())
            if exhausted:
                raise _too_many() from None
            raise
        self._right[digest] = True
        return result

    def _number(self, address: str) -> float:
        number, since = self._wrong.get(address, (0.0, 0.0))
        return max(0.0, number - (self._clock() - since) * _MOST / _SECONDS)


def _too_many() -> TooManyRequests:
    error = TooManyRequests("too many wrong keys or signatures; retry in ten seconds")
    error.retry_after = _SECONDS
    return error
