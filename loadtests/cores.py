"""Cores of the service, and cores of the load generator, where both run on one machine.

On the same cores, what was measured was in good part the generator's own weight: in a spike from 64 to 640 users on two
cores, p99 of hits went from 4 to 20 ms, and two thirds of the time for which Varnish's threads waited was locust's.
With a core each, from 28 to 280 users, from 3.5 to 4.4 (docs/adr/0017).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """Numbers of cores."""

    service: tuple[int, ...]
    generator: tuple[int, ...]

    def __str__(self) -> str:
        return f"the service had {_named(self.service)}, the load generator {_named(self.generator)}"

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
    """A half for each; None where there is but one core, or the engine, with so many, is not on this machine."""
    if not hasattr(os, "sched_getaffinity") or of_engine != os.cpu_count():
        return None
    ours = sorted(os.sched_getaffinity(0))
    half = len(ours) // 2
    return Cores(tuple(ours[: len(ours) - half]), tuple(ours[len(ours) - half :])) if half else None


def _named(numbers: tuple[int, ...]) -> str:
    return f"core{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
