"""Waits for a service that restarts or is busy, as long as it does anything at all now and then."""

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from imgsvc_client import ApiError, ConnectionFailed

_SECONDS = 120.0
"""Without any success in any thread, after which it is over."""
_LONGEST_PAUSE = 10.0
_BUSY = frozenset({429, 502, 503, 504})

Result = TypeVar("Result")


class Patience:
    """Repeats what fails because the service is busy or away. Threads share it."""

    def __init__(self, say: Callable[[str], None] = lambda _: None, seconds: float = _SECONDS) -> None:
        """`say` gets a sentence when the waiting begins."""
        self._say = say
        self._seconds = seconds
        self._is_waiting = False
        self._latest = time.monotonic()
        self._lock = threading.Lock()

    def kept(self, act: Callable[[], Result]) -> Result:
        """What `act` returns, after as many attempts as it takes. It has to be safe to repeat."""
        attempt = 0
        while True:
            try:
                result = act()
            except (ApiError, ConnectionFailed) as error:
                if not self._goes_on(error):
                    raise
                self._tell(error)
                time.sleep(_pause(error, attempt))
                attempt += 1
            else:
                with self._lock:
                    self._latest = time.monotonic()
                    self._is_waiting = False
                return result

    def _tell(self, error: Exception) -> None:
        with self._lock:
            is_new, self._is_waiting = not self._is_waiting, True
        if is_new:
            why = error.detail if isinstance(error, ApiError) else "the service does not respond"
            self._say(f"{why}; waiting for up to {self._seconds:.0f} s")

    def _goes_on(self, error: Exception) -> bool:
        if isinstance(error, ApiError) and error.status not in _BUSY:
            return False
        return time.monotonic() - self._latest < self._seconds


def _pause(error: Exception, attempt: int) -> float:
    asked = error.retry_after if isinstance(error, ApiError) else None
    usual = min(_LONGEST_PAUSE, 0.5 * 2 ** min(attempt, 5))
    return (usual if asked is None else asked + 0.1) * random.uniform(1, 1.5)  # noqa: S311  # no secret
