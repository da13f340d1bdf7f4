"""Popularity by Zipf's law: a few images get most of the requests."""

import itertools
import random


class Zipf:
    """Picks ranks from 0, the most popular, with probability 1 / (rank + 1) ** exponent."""

    def __init__(self, count: int, exponent: float) -> None:
        self._ranks = range(count)
        self._cumulative = list(itertools.accumulate(1 / (rank + 1) ** exponent for rank in self._ranks))

    def pick(self, chance: random.Random) -> int:
        """A rank."""
        return chance.choices(self._ranks, cum_weights=self._cumulative)[0]
