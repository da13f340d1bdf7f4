"""Runs libvips as worker processes do."""

from collections.abc import Iterator

import pytest

from tests.files import uncached


@pytest.fixture(autouse=True)
def no_cache() -> Iterator[None]:
    """See `uncached`."""
    with uncached():
        yield
