"""Adding, deleting and sweeping, with real blobs, records and validators."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from imaging.header import Header
from service_kit.access import DEFAULT_SPACE, Visibility
from service_kit.errors import ContentLost, Gone, Unavailable
from service_kit.spool import Spool, Spooled
from storage_service.audit import AuditTrail
from storage_service.blobs import Blobs
from storage_service.caches import Caches
from storage_service.library import Library, Owner
from storage_service.metadata.base import DatabaseConfig, ImageRecord, MetadataStore, create_store
from storage_service.purging import Purger
from storage_service.scrubbing import Scrubber
from storage_service.settings import StorageSettings
from storage_service.validation import Validator
from tests import pictures
from tests.storage_service.conftest import derived

BODY = pictures.jpeg()
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[MetadataStore]:
    store = create_store(DatabaseConfig(postgres_url, None, 5))
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(f"file://{tmp_path}")


@pytest.fixture
async def library(store: MetadataStore, blobs: Blobs) -> AsyncIterator[Library]:
    validator = Validator(StorageSettings())
    await validator.start()
    Spool(blobs.spool_folder).prepare()
    async with Caches(()) as caches:
        yield Library(
            store,
            blobs,
            validator,
            Purger(store, caches),
            AuditTrail(store, 1000),
            **derived(store, blobs),
        )
    await validator.close()


def upload(blobs: Blobs, body: bytes = BODY) -> Spooled:
    path = Spool(blobs.spool_folder).new_path()
    path.write_bytes(body)
    return Spooled(path, len(body), hashlib.sha256(body).hexdigest())


def _files(blobs: Blobs) -> list[Path]:
    return [path for path in (blobs.spool_folder.parent / "sha256").rglob("*") if path.is_file()]


async def test_fifty_identical_uploads_share_one_blob(library: Library, blobs: Blobs) -> None:
    records = await asyncio.gather(*(library.add(upload(blobs)) for _ in range(50)))
    assert len({record.image_id for record in records}) == 50
    assert [path.name for path in _files(blobs)] == [SHA]
    for record in records[1:]:
        await library.delete(record.image_id)
    assert [path.name for path in _files(blobs)] == [SHA]
    await library.delete(records[0].image_id)
    assert not _files(blobs)
    with pytest.raises(Gone):
        await library.find(records[0].image_id)


async def test_a_delete_during_an_upload_of_the_same_bytes_loses_nothing(library: Library, blobs: Blobs) -> None:
    for _ in range(20):
        old = await library.add(upload(blobs))
        new, _ = await asyncio.gather(library.add(upload(blobs)), library.delete(old.image_id))
        assert b"".join([bytes(c) async for c in await library.read(new, range(new.bytes))]) == BODY
        await library.delete(new.image_id)


async def test_a_blob_without_a_record_is_swept_once_it_is_old_enough(library: Library, blobs: Blobs) -> None:
    kept = await library.add(upload(blobs))
    orphan = upload(blobs, BODY + b"!")
    await blobs.add(orphan.sha256, orphan.path)
    assert await library.sweep(timedelta(hours=1)) == 0
    assert await library.sweep(timedelta(seconds=-5)) == 1
    assert [path.name for path in _files(blobs)] == [SHA]
    await library.delete(kept.image_id)


async def test_an_upload_fails_if_its_record_cannot_be_added(
    library: Library, blobs: Blobs, store: MetadataStore
) -> None:
    await store.close()
    with pytest.raises(Unavailable):
        await library.add(upload(blobs))


async def test_the_transform_service_gets_a_header_and_no_record(library: Library, blobs: Blobs) -> None:
    """Renderers would have to import this service to read a record."""
    record = await library.add(upload(blobs))
    located = await library.locate(record.image_id, "")
    assert type(located.header) is Header
    assert located.header.model_dump() == record.model_dump(include=set(Header.model_fields))
    await library.delete(record.image_id)


async def test_a_pending_image_is_private_to_transform_nodes_that_do_not_know_pending_ones(
    library: Library, blobs: Blobs
) -> None:
    """During an update, they would send a moderator's picture to public caches."""
    shown = {}
    for visibility in Visibility:
        record = await library.add(upload(blobs), Owner("", DEFAULT_SPACE, visibility))
        located = await library.locate(record.image_id, "")
        shown[visibility] = (located.visibility, located.pending)
        assert located.actual_visibility == visibility
        await library.delete(record.image_id)
    assert shown == {
        Visibility.PUBLIC: ("public", False),
        Visibility.PRIVATE: ("private", False),
        Visibility.PENDING: ("private", True),
    }


@pytest.mark.parametrize("reading", [1, 2])
async def test_an_upload_during_a_scrub_is_whole_afterwards(
    library: Library, blobs: Blobs, store: MetadataStore, reading: int
) -> None:
    """A damaged blob is read twice. The upload of the same bytes arrives when one of the readings has begun."""
    old = await library.add(upload(blobs))
    uploads: list[asyncio.Task[ImageRecord]] = []

    class Interrupted(Blobs):
        async def open(self, *arguments: Any) -> AsyncIterator[memoryview]:
            opened = await super().open(*arguments)
            readings.append(await anext(opened))
            if len(readings) == reading:
                uploads.append(asyncio.create_task(library.add(upload(blobs))))
                await asyncio.wait(uploads, timeout=0.5)  # it has ended, or waits for the scrub
            return _again(readings[-1], opened)

    readings: list[memoryview] = []
    (path,) = _files(blobs)
    path.write_bytes(BODY[:-1] + b"!")
    await Scrubber(store, Interrupted(f"file://{blobs.spool_folder.parent}"), 0).run(lambda _: None)
    new = await uploads[0]
    if reading == 1:  # nobody knew yet that the blob was damaged
        with pytest.raises(ContentLost):
            await library.find_whole(new.image_id)
        await library.add(upload(blobs))
    for record in (old, new):
        whole = await library.find_whole(record.image_id)
        assert b"".join([bytes(c) async for c in await library.read(whole, range(whole.bytes))]) == BODY
        await library.delete(record.image_id)


async def _again(first: memoryview, rest: AsyncIterator[memoryview]) -> AsyncIterator[memoryview]:
    yield first
    async for chunk in rest:
        yield chunk
