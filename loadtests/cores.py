"""Cores of the service, and cores of the load generator, where both run on one machine.

On the same cores, what was measured was in good part the generator's own weight (docs/adr/0017).
"""

import os
from collections.abc import Iterator
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
        """Those of the service, in words."""
        return _named(self.service)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep this process, and all that it starts meanwhile, on the generator's cores."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.generator)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


def split(of_engine: int) -> Cores | None:
    """A half for each; None where there is but one core, or the engine, with so many, is not on this machine.

    Threads of a core stay together where there are several: they slow each other.
    """
    if not hasattr(os, "sched_getaffinity") or of_engine != os.cpu_count():
        return None
    ours = os.sched_getaffinity(0)
    whole = sorted({tuple(sorted(_siblings(number) & ours)) for number in ours})
    if len(whole) == 1:
        whole = [(number,) for number in whole[0]]
    half = len(whole) // 2
    return Cores(_all(whole[: len(whole) - half]), _all(whole[len(whole) - half :])) if half else None


def _all(groups: list[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sorted(chain.from_iterable(groups)))


def _siblings(number: int) -> set[int]:
    """The threads of a thread's core, by Linux' lists such as `0-1,8`."""
    try:
        text = (_SYSTEM / f"cpu{number}/topology/thread_siblings_list").read_text()
    except OSError:
        return {number}
    spans = [part.partition("-") for part in text.strip().split(",")]
    return {each for first, _, last in spans for each in range(int(first), int(last or first) + 1)}


def _named(numbers: tuple[int, ...]) -> str:
    return f"core{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
