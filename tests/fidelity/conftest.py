"""Runs libvips as worker processes do."""

from collections.abc import Iterator

import pytest
import pyvips


@pytest.fixture(autouse=True)
def no_cache() -> Iterator[None]:
    """What is not needed any more is freed, and reports its warnings then."""
    most = pyvips.cache_get_max()
    pyvips.cache_set_max(0)
    yield
    pyvips.cache_set_max(most)
