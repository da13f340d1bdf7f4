"""Which of many images is asked for: a few of them nearly always, most of them hardly ever."""

import itertools
import random

EXPONENT = 0.9
"""Of popularity by rank. Web caches see 0.64 to 0.83 a proxy (Breslau et al., INFOCOM 1999), photo sites about 1."""


class Zipf:
    """Picks ranks from 0, the most popular, with probability 1 / (rank + 1) ** exponent."""

    def __init__(self, count: int, exponent: float = EXPONENT) -> None:
        self._ranks = range(count)
        self._cumulative: list[float] = list(itertools.accumulate(1 / (rank + 1) ** exponent for rank in self._ranks))

    def pick(self, chance: random.Random) -> int:
        """A rank."""
        return chance.choices(self._ranks, cum_weights=self._cumulative)[0]

    def share(self, first: int) -> float:
        """The share of all picks that the `first` ranks have."""
        return self._cumulative[first - 1] / self._cumulative[-1]
