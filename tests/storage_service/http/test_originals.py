"""Originals over HTTP: complete, or reported as deleted or lost, and nothing in between."""

import hashlib
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
async def test_a_truncated_original_is_reported_and_repaired_by_the_same_upload(
    storage: Storage, tmp_path: Path, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    image_id = await storage.upload(BODY)
    with _blob(tmp_path).open("r+b") as blob:
        blob.truncate(1000)
    response, _ = await storage.get(f"/v1/images/{image_id}", **headers)
    assert response.status == 502
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert any(record.levelno == logging.ERROR and image_id in record.getMessage() for record in caplog.records)
    await storage.upload(BODY)
    response, body = await storage.get(f"/v1/images/{image_id}")
    assert (response.status, body) == (200, BODY)


async def test_an_original_deleted_during_its_download_is_gone_not_lost(storage: Storage) -> None:
    image_id = await storage.upload(BODY)
    record = await storage.library.find(image_id)
    await storage.library.delete(image_id)
    with pytest.raises(Gone):
        await storage.library.read(record, range(record.bytes))


async def test_a_delete_with_another_etag_is_refused(storage: Storage) -> None:
    etag = f'"{hashlib.sha256(BODY).hexdigest()}"'
    for etags, status in ((f'"{"0" * 64}"', 412), ('"*"', 412), (f"W/{etag}", 412), (f'"x", {etag}', 204)):
        image_id = await storage.upload(BODY)
        url = f"{storage.url}/v1/images/{image_id}"
        async with storage.http.delete(url, headers={"If-Match": etags}) as response:
            assert response.status == status, etags
            assert status == 204 or response.content_type == "application/problem+json"
        assert (await storage.get(f"/v1/images/{image_id}"))[0].status == (410 if status == 204 else 200)
    async with storage.http.delete(
        f"{storage.url}/v1/images/{await storage.upload(BODY)}", headers={"If-Match": "*"}
    ) as response:
        assert response.status == 204


async def test_a_star_matches_any_content_only_without_quotes(storage: Storage) -> None:
    image_id = await storage.upload(BODY)
    for etag, status in (("*", 304), ('"*"', 200)):
        response, _ = await storage.get(f"/v1/images/{image_id}", **{"If-None-Match": etag})
        assert response.status == status


async def test_an_etag_may_be_anywhere_in_several_headers(storage: Storage) -> None:
    url, etag = f"{storage.url}/v1/images/{await storage.upload(BODY)}", f'"{hashlib.sha256(BODY).hexdigest()}"'
    for values, status in (
        (["nonsense, W/", f'"x", W/{etag}'], 304),
        ([etag[1:-1]], 200),
        ([f"{etag[:-2]}"], 200),
        (["", "*"], 200),
    ):
        async with storage.http.get(url, headers=[("If-None-Match", value) for value in values]) as response:
            assert response.status == status, values


async def test_the_last_zero_bytes_are_not_a_range(storage: Storage) -> None:
    response, _ = await storage.get(f"/v1/images/{await storage.upload(BODY)}", Range="bytes=-0")
    assert (response.status, response.headers["Content-Range"]) == (416, f"bytes */{len(BODY)}")


async def test_head_ignores_ranges_and_reads_no_blob(storage: Storage, tmp_path: Path) -> None:
    url = f"{storage.url}/v1/images/{await storage.upload(BODY)}"
    _blob(tmp_path).unlink()
    for requested in ("bytes=0-9", "bytes=-0", f"bytes={len(BODY)}-"):
        async with storage.http.head(url, headers={"Range": requested}) as response:
            assert (response.status, response.headers["Content-Length"]) == (200, str(len(BODY)))
