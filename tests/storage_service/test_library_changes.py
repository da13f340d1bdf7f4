"""Names, looks and deletions of many images, in both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imaging.looks import Colour, Look
from service_kit.access import EVERYTHING, Identity, Scope
from service_kit.errors import NotFound
from service_kit.spool import Spool
from storage_service.audit import AuditTrail
from storage_service.blobs import Blobs
from storage_service.caches import Caches
from storage_service.deletions import Deletions, State
from storage_service.events import Events
from storage_service.library import Library
from storage_service.looks import Looks
from storage_service.metadata.base import ImageRecord, MetadataStore
from storage_service.names import MOST_VERSIONS, Names
from storage_service.purging import Purger
from storage_service.search import Filters
from storage_service.settings import StorageSettings
from storage_service.settling import _MARK, Settling
from storage_service.validation import Validator
from tests.storage_service.conftest import derived
from tests.storage_service.test_metadata import key, record

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def library(store: MetadataStore, tmp_path: Path) -> AsyncIterator[Library]:
    blobs = Blobs(f"file://{tmp_path}/blobs")
    Spool(blobs.spool_folder).prepare()
    async with Caches(()) as caches:
        audit = AuditTrail(store, 1000)
        validator = Validator(StorageSettings())  # these images come without files
        yield Library(store, blobs, validator, Purger(store, caches), audit, **derived(store, blobs))


@pytest.fixture
async def names(store: MetadataStore) -> AsyncIterator[Names]:
    async with Caches(()) as caches:
        yield Names(store, caches, AuditTrail(store, 1000), Events(store, lambda _: {}))


async def add(store: MetadataStore, number: int, content: int | None = None, **columns: object) -> ImageRecord:
    """A new image. Those with the same content have the same bytes."""
    given: dict[str, object] = {"image_id": f"{number:032x}", "created_at": NOW + timedelta(seconds=number)}
    new = record(number if content is None else content, **{**given, "format": "jpeg", **columns})
    async with store.lock_content(new.sha256) as locked:
        await locked.add(new)
    return new


async def test_names_remember_what_they_have_shown(store: MetadataStore, names: Names) -> None:
    images = [await add(store, number) for number in range(3)]
    for number, image in enumerate(images):
        pointed = await names.point("a/b.jpg", image, EVERYTHING)
        assert pointed.is_new == (number == 0)
    assert (await names.find("a/b.jpg")).image_id == images[2].image_id
    assert [each.version for each in await names.versions("a/b.jpg")] == [3, 2, 1]
    assert await names.image_of("a/b.jpg", 1) == images[0].image_id
    with pytest.raises(NotFound, match="has no version 9"):
        await names.image_of("a/b.jpg", 9)
    assert [each.name for each in await names.page("a/", None, 5, "")] == ["a/b.jpg"]
    assert await names.page("a/", None, 5, "a/b.jpg") == []
    assert await names.page("b", None, 5, "") == []
    await names.remove("a/b.jpg", EVERYTHING)
    with pytest.raises(NotFound):
        await names.find("a/b.jpg")


async def test_old_versions_are_forgotten(store: MetadataStore, names: Names) -> None:
    image = await add(store, 1)
    for _ in range(MOST_VERSIONS + 3):
        await names.point("often", image, EVERYTHING)
    versions = [each.version for each in await names.versions("often")]
    assert versions == [*range(MOST_VERSIONS + 3, 3, -1)]


async def test_changes_of_a_name_at_once_get_a_version_each_and_leave_no_lasting_mark(
    store: MetadataStore, names: Names
) -> None:
    images = [await add(store, number) for number in range(8)]
    await asyncio.gather(*(names.point("busy", image, EVERYTHING) for image in images))
    shown = await names.find("busy")
    assert shown.version == len(images)
    assert {each.image_id for each in await names.versions("busy")} == {image.image_id for image in images}
    await names.point("quiet", images[0], EVERYTHING)
    await names.point("quiet", images[1], EVERYTHING)
    assert not (await names.find("quiet")).is_changing


async def test_a_change_that_is_overtaken_restores_the_mark_of_the_other(store: MetadataStore, names: Names) -> None:
    """Without it, caches could keep the old answer while the other change goes on."""
    await names.point("a", await add(store, 1), EVERYTHING)
    async with Caches(()) as caches:
        settling = Settling(store, caches)
    one = await settling.mark("a")  # two changes at the same time, in this order
    two = await settling.mark("a")
    assert one
    assert two
    assert two.earlier == one.mark
    assert not await store.change(_MARK, b"a", 1, one.mark), "it has the other mark by now"


async def test_names_are_found_by_their_beginning_in_the_order_of_bytes(store: MetadataStore, names: Names) -> None:
    image = await add(store, 1)
    for name in ("a_b", "a-b", "aB", "a/b", "ab", "b", "A"):
        await names.point(name, image, EVERYTHING)
    assert [each.name for each in await names.page("", None, 9, "")] == ["A", "a-b", "a/b", "aB", "a_b", "ab", "b"]
    assert [each.name for each in await names.page("a", "default", 9, "a/b")] == ["aB", "a_b", "ab"]
    assert await names.page("a", "other", 9, "") == []


async def test_images_of_other_spaces_do_not_hide_similar_ones(store: MetadataStore) -> None:
    looks = Looks(store)
    for number in range(30):
        await add(store, number, space="theirs" if number > 1 else "mine")
        await looks.keep(f"{number:064x}", Look(colour=0, colours=0, thumbhash="", phash=1 if number == 1 else 0))
    own = await store.find(f"{0:032x}")
    assert own
    assert [each.record.image_id for each in await looks.similar(own, "mine", 5)] == [f"{1:032x}"]
    await add(store, 99)
    await looks.keep(f"{99:064x}", Look(colour=0, colours=0, thumbhash="", phash=None))
    flat = await store.find(f"{99:032x}")
    assert flat
    assert await looks.similar(flat, None, 5) == []


async def test_a_deletion_with_filters_of_a_newer_version_waits_for_it_and_others_go_on(
    store: MetadataStore, library: Library
) -> None:
    image = await add(store, 1)
    deletions = Deletions(store, library)
    newer = await deletions.add(Filters(format="jpeg"), EVERYTHING)
    await store.change("UPDATE deletions SET filters = $1", '{"format": "jpeg", "newer": 1}')
    other = await deletions.add(Filters(format="png"), EVERYTHING)
    while await deletions.step():
        pass
    assert (await deletions.find(newer.deletion_id, None)).state is State.RUNNING
    assert (await deletions.find(other.deletion_id, None)).state is State.DONE
    found = await store.find(image.image_id)
    assert found
    assert found.deleted_at is None


async def test_a_deletion_ends_when_its_key_is_revoked(store: MetadataStore, library: Library) -> None:
    await store.add_key(key("0123456789ab"))
    await add(store, 1)
    deletions = Deletions(store, library)
    begun = await deletions.add(Filters(), Identity("0123456789ab", frozenset(Scope)))
    await store.revoke_key("0123456789ab", datetime.now(UTC))
    while await deletions.step():
        pass
    assert (await deletions.find(begun.deletion_id, None)).state is State.STOPPED
    assert await store.fetch("SELECT 1 FROM images WHERE deleted_at IS NULL")


async def test_similar_images_differ_in_few_bits(store: MetadataStore) -> None:
    looks, hashes = Looks(store), [0, 0b1, 0b1111111 << 56, 0xFF << 30, 1 << 63, -1]
    for number, phash in enumerate(hashes):
        await add(store, number)
        signed = phash - (1 << 64) if phash >= 1 << 63 else phash
        await looks.keep(f"{number:064x}", Look(colour=255, colours=Colour.BLUE, thumbhash="AA==", phash=signed))
    copy = await add(store, 9, content=1)
    first = (await store.find(f"{0:032x}")) or copy
    found = [(int(each.record.image_id, 16), each.distance) for each in await looks.similar(first, None, 10)]
    assert found == [(1, 1), (4, 1), (9, 1), (2, 7)]
    assert len(await looks.similar(first, None, 2)) == 2
    assert await looks.similar(first, "elsewhere", 10) == []
    await looks.forget(f"{1:064x}")
    assert [each.distance for each in await looks.similar(first, None, 10)] == [1, 7]
    await looks.keep("f" * 64, Look(colour=None, colours=0, thumbhash="", phash=0))
    assert not await store.fetch("SELECT 1 FROM looks WHERE sha256 = $1", "f" * 64), "no image has this content"


async def test_a_deletion_goes_on_where_another_process_was_killed(store: MetadataStore, library: Library) -> None:
    for number in range(250):
        await add(store, number)
    first = Deletions(store, library)
    begun = await first.add(Filters(), EVERYTHING)
    late = await add(store, 999, created_at=datetime.now(UTC) + timedelta(seconds=1))
    assert await first.step()

    second = Deletions(store, library)
    while await second.step():
        pass
    done = await second.find(begun.deletion_id, None)
    assert (done.state, done.deleted, done.failed) == (State.DONE, 250, 0)
    rows = await store.fetch("SELECT image_id FROM images WHERE deleted_at IS NULL")
    assert [row[0] for row in rows] == [late.image_id]


async def test_a_stopped_deletion_deletes_nothing_more(store: MetadataStore, library: Library) -> None:
    for number in range(150):
        await add(store, number)
    deletions = Deletions(store, library)
    begun = await deletions.add(Filters(format="jpeg"), EVERYTHING)
    await deletions.step()
    stopped = await deletions.stop(begun.deletion_id, None)
    assert (stopped.state, stopped.deleted) == (State.STOPPED, 100)
    assert not await deletions.step()
