"""The description of an image."""

import json

from tests.fidelity.test_unread_frames import FILES
from tests.storage_service.conftest import Storage


async def test_frames_that_are_not_read_are_counted(storage: Storage) -> None:
    for body, unread in FILES.values():
        _, text = await storage.get(f"/v1/images/{await storage.upload(body)}/info")
        assert json.loads(text)["unread_frames"] == unread
