"""Separate cores for the service and the load generator, if both run on one machine.

On shared cores, a good part of what was measured was the load generator's own weight (docs/adr/0026).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

_SYSTEM = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class Cores:
    """Numbers of cores."""

    service: tuple[int, ...]
    generator: tuple[int, ...]

    def __str__(self) -> str:
        return f"the service had {self.for_service}, the load generator {_named(self.generator)}"

    @property
    def for_service(self) -> str:
        """The service's cores in words."""
        return _named(self.service)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep this process, and everything that it starts, on the generator's cores."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.generator)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


def split(of_engine: int) -> Cores | None:
    """Half of the cores for each; None for a single core, or if the engine is on another machine.

    Threads of a core stay together if there are several cores, because they slow each other down.
    """
    if not hasattr(os, "sched_getaffinity") or of_engine != os.cpu_count():
        return None
    ours = os.sched_getaffinity(0)
    whole = sorted({tuple(sorted(_siblings(number) & ours)) for number in ours})
    if len(whole) == 1:
        whole = [(number,) for number in whole[0]]
    first = len(whole) - len(whole) // 2
    return Cores(_all(whole[:first]), _all(whole[first:])) if len(whole) > 1 else None


def _all(groups: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sorted(chain.from_iterable(groups)))


def _siblings(number: int) -> set[int]:
    """The threads of a thread's core, from Linux's lists such as `0-1,8`."""
    try:
        text = (_SYSTEM / f"cpu{number}/topology/thread_siblings_list").read_text()
    except OSError:
        return {number}
    spans = [part.partition("-") for part in text.strip().split(",")]
    return {each for first, _, last in spans for each in range(int(first), int(last or first) + 1)}


def _named(numbers: Sequence[int]) -> str:
    return f"core{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
