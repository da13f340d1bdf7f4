"""Pages of the list: a cursor comes from the page before, or is refused."""

import base64

import pytest

from tests.storage_service.conftest import Storage


@pytest.mark.parametrize(
    "text",
    ["2026-01-01T00:00:00+00:00|x\0", "2026-01-01T00:00:00+00:00|", "2026-01-01T00:00:00+00:00", "x|" + "0" * 32, ""],
)
async def test_an_invented_cursor_is_refused(storage: Storage, text: str) -> None:
    cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    response, _ = await storage.get(f"/v1/images?cursor={cursor}")
    assert response.status == 400
