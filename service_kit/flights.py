"""Work that simultaneous requests share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Flight(Generic[T]):
    """A task, and the number of callers that are waiting for it."""

    task: asyncio.Task[T]
    waiting: int = 0


class Flights(Generic[T]):
    """One task for each key, however many callers want its result."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    def __contains__(self, key: str) -> bool:
        """Whether a task of this key is in progress."""
        return key in self._flights

    @property
    def waiting(self) -> list[int]:
        """The number of callers that wait for each task, for tests."""
        return [flight.waiting for flight in self._flights.values()]

    async def join(self, key: str, begin: Callable[[], asyncio.Task[T]]) -> T:
        """The result of the task of `key`, which `begin` starts unless one is in progress. Raises its errors.

        The task is cancelled when the last caller that was waiting for it has gone.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(begin())
            flight.task.add_done_callback(lambda _: self._land(key, flight))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._land(key, flight)
                flight.task.cancel()

    def _land(self, key: str, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
