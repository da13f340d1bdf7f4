"""Originals over the wire: whole, or told to be gone or lost, never anything in between."""

import logging
from pathlib import Path

import pytest

from service_kit.errors import Gone
from tests import pictures
from tests.storage_service.conftest import Storage

BODY = bytes(pictures.noise(300, 200).jpegsave_buffer(Q=90))


def _blob(folder: Path) -> Path:
    return next(path for path in (folder / "blobs/sha256").rglob("*") if path.is_file())


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}, {"Range": "bytes=-9"}])
async def test_a_torn_original_is_told_and_comes_back_with_the_same_upload(
    storage: Storage, tmp_path: Path, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    image_id = await storage.upload(BODY)
    with _blob(tmp_path).open("r+b") as blob:
        blob.truncate(1000)
    answer, _ = await storage.get(f"/v1/images/{image_id}", **headers)
    assert answer.status == 502
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert any(record.levelno == logging.ERROR and image_id in record.getMessage() for record in caplog.records)
    await storage.upload(BODY)
    answer, body = await storage.get(f"/v1/images/{image_id}")
    assert (answer.status, body) == (200, BODY)


async def test_an_original_deleted_while_it_is_asked_for_is_gone_and_no_outage(storage: Storage) -> None:
    image_id = await storage.upload(BODY)
    record = await storage.library.find(image_id)
    await storage.library.delete(image_id)
    with pytest.raises(Gone):
        await storage.library.read(record, range(record.bytes))
