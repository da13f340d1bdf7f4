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


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("curser=abc", "unknown parameter 'curser'; did you mean 'cursor'?"),
        ("Limit=3", "unknown parameter 'Limit'; did you mean 'limit'?"),
        ("limit=3&offset=7", "unknown parameter 'offset'; use one of: limit, cursor"),
        ("limit=3&limit=4", "`limit` appears twice; use it once"),
    ],
)
async def test_a_parameter_that_would_be_ignored_is_refused(storage: Storage, query: str, text: str) -> None:
    response, body = await storage.get(f"/v1/images?{query}")
    assert response.status == 400
    assert text in body.decode()
