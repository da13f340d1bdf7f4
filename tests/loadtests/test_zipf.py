"""Popularity by Zipf's law."""

import random
from collections import Counter

import pytest

from measuring.zipf import Zipf


def test_ranks_are_picked_as_often_as_the_law_says() -> None:
    chance, zipf = random.Random(1), Zipf(100, 1.0)
    picks = Counter(zipf.pick(chance) for _ in range(50_000))
    harmonic = sum(1 / rank for rank in range(1, 101))
    assert picks[0] / 50_000 == pytest.approx(1 / harmonic, rel=0.05)
    assert picks[0] / picks[9] == pytest.approx(10, rel=0.2)
    assert min(picks) == 0
    assert max(picks) <= 99


def test_a_few_images_have_most_of_the_traffic() -> None:
    chance, zipf = random.Random(1), Zipf(1000, 1.0)
    assert sum(zipf.pick(chance) < 100 for _ in range(10_000)) > 6000


def test_a_single_image_is_always_picked() -> None:
    assert Zipf(1, 1.0).pick(random.Random(1)) == 0
