"""The contract of every metadata store, against real servers."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import asyncpg
import pytest

from service_kit.errors import CannotStart, Forbidden, Unavailable
from service_kit.ids import new_image_id
from storage_service.metadata import _postgres_room, postgres
from storage_service.metadata.base import (
    AuditEntry,
    DatabaseConfig,
    ImageRecord,
    KeyRecord,
    MetadataStore,
    PendingPurge,
    Position,
    Space,
    StoredContent,
    TokenRecord,
    create_store,
    pending_migrations,
)
from storage_service.search import Filters, search
from tests import servers

NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)


def record(number: int = 0, **changes: object) -> ImageRecord:
    facts: dict[str, object] = {
        "format": "png",
        "width": 640,
        "height": 480,
        "frames": 3,
        "orientation": 6,
        "colour_space": "srgb",
        "alpha": True,
        "progressive": False,
        "image_id": new_image_id(),
        "bytes": 5_000_000_000,
        "sha256": f"{number:064x}",
        "visibility": "public",
        "created_at": NOW + timedelta(microseconds=number),
    }
    return ImageRecord(**{**facts, **changes})


def key(key_id: str, **changes: object) -> KeyRecord:
    facts = {"key_id": key_id, "digest": "d", "name": "name", "scopes": "read", "created_at": NOW}
    return KeyRecord.model_validate(facts | changes)


def entry(entry_id: str, **changes: object) -> AuditEntry:
    facts = {"key_id": "cli", "action": "upload", "subject": "image", "space": "", "request_id": "r", "at": NOW}
    return AuditEntry.model_validate({"entry_id": entry_id} | facts | changes)


URLS: dict[int, str] = {}
"""The URL of each store of the fixture, by its identity."""


def store_config(store: MetadataStore) -> DatabaseConfig:
    """How to connect to the database of a store."""
    return DatabaseConfig(URLS[id(store)], None, 5)


async def empty(url: str) -> None:
    """Remove all tables of a PostgreSQL database."""
    connection = await asyncpg.connect(url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()


async def run_sql(store: MetadataStore, statement: str) -> list[object]:
    """Run a statement past the store; the first column of its rows."""
    url = URLS[id(store)]
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
            return [row[0] for row in file.execute(statement)]
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def add(store: MetadataStore, *records: ImageRecord) -> None:
    for each in records:
        async with store.lock_content(each.sha256) as content:
            await content.add(each)


async def mark_damaged(store: MetadataStore, sha256: str, at: datetime) -> None:
    async with store.lock_content(sha256) as content:
        await content.mark_damaged(at)


async def test_a_record_is_found_as_it_was_added(store: MetadataStore) -> None:
    stored = record()
    await add(store, stored)
    assert await store.find(stored.image_id) == stored
    assert await store.find(new_image_id()) is None


async def test_a_space_has_its_uploads_in_each_minute(store: MetadataStore) -> None:
    for most in (0, 1, 3, None):
        await store.set_space(Space(space=f"space-{most}", max_uploads=most))
        for minute in (7, 8):
            counted = [await store.count_upload(f"space-{most}", minute) for _ in range(5)]
            assert counted.count(True) == (5 if most is None else most), (most, minute)


async def test_a_space_that_is_full_takes_no_image(store: MetadataStore) -> None:
    await store.set_space(Space(space="by-number", max_images=2))
    await store.set_space(Space(space="by-bytes", max_bytes=25))
    first, *others = (record(number, space="by-number") for number in range(3))
    await add(store, first, others[0])
    with pytest.raises(Forbidden, match="the space 'by-number' has its 2 images"):
        await add(store, others[1])
    assert await store.find(others[1].image_id) is None
    assert await store.mark_deleted(first.image_id, NOW, NOW)
    await add(store, others[1])
    await add(store, record(5, space="by-bytes", bytes=20))
    with pytest.raises(Forbidden, match="has 20 of its 25 bytes, and the image has 6"):
        await add(store, record(6, space="by-bytes", bytes=6))
    await add(store, record(7, space="by-bytes", bytes=5))
    spaces = {space.space: (space.images, space.bytes) for space in await store.spaces(10, "")}
    assert spaces == {"by-bytes": (2, 25), "by-number": (2, 2 * first.bytes)}
    assert [space.space for space in await store.spaces(10, "by-bytes")] == ["by-number"]


async def test_uploads_beside_the_first_quota_of_a_space_are_counted(store: MetadataStore) -> None:
    """Images of the default space are counted from the first quota on."""

    async def upload(number: int) -> None:
        await add(store, record(number))
        some.set()

    some = asyncio.Event()
    uploads = [asyncio.create_task(upload(number)) for number in range(40)]
    await some.wait()
    await store.set_space(Space(space="default", max_images=1000))
    await asyncio.gather(*uploads)
    counted = await store.find_space("default")
    assert counted
    assert counted.images == 40


async def test_uses_of_a_token_are_taken_one_by_one(store: MetadataStore) -> None:
    token = TokenRecord(
        token_id="t1",
        digest="d",
        key_id="",
        space="default",
        visibility="private",
        formats="png jpeg",
        max_bytes=5,
        uses_left=3,
        expires_at=NOW,
    )
    await store.add_token(token, NOW - timedelta(seconds=1))
    assert await store.find_token("t1") == token
    taken = await asyncio.gather(*(store.take_use("t1") for _ in range(9)))
    assert taken.count(True) == 3
    await store.give_back_use("t1")
    assert [await store.take_use("t1") for _ in range(2)] == [True, False]
    await store.add_token(token.model_copy(update={"token_id": "t2"}), NOW)
    assert await store.find_token("t1") is None, "it has expired"
    assert not await store.take_use("t1")


async def test_a_key_and_the_one_that_it_replaces_change_together(store: MetadataStore) -> None:
    old = key("old", expires_at=NOW + timedelta(days=9))
    await store.add_key(old, entry("created"))
    await store.add_key(key("new", space="tenant"), entry("rotated"), expire=("old", NOW + timedelta(days=5)))
    with pytest.raises(Unavailable):  # there is such a key
        await store.add_key(key("new"), entry("lost"), expire=("old", NOW))
    await store.add_key(key("newer"), None, expire=("old", NOW + timedelta(days=7)))
    found = {each.key_id: each for each in await store.keys()}
    assert found["old"] == old.model_copy(update={"expires_at": NOW + timedelta(days=5)})
    assert (found["new"].space, found["new"].expires_at) == ("tenant", None)
    assert [each.entry_id for each in await store.entries(9, None, None)] == ["rotated", "created"]
    assert await store.find_space("tenant")


async def test_there_is_only_one_first_key(store: MetadataStore) -> None:
    added = await asyncio.gather(*(store.add_first_key(key(str(n)), entry(str(n))) for n in range(4)))
    assert added.count(True) == 1
    (only,) = await store.keys()
    assert [each.entry_id for each in await store.entries(9, None, None)] == [only.key_id]
    assert await store.revoke_key(only.key_id, NOW)
    assert not await store.revoke_key(only.key_id, NOW)
    assert not await store.add_first_key(key("again")), "it was revoked, and not lost"


async def test_the_audit_trail_keeps_the_newest_entries(store: MetadataStore) -> None:
    for number in range(6):
        at = NOW + timedelta(seconds=number)
        await store.add_entry(entry(f"e{number}", at=at, key_id=f"key-{number % 2}", subject=f"image-{number % 3}"))
    assert [each.entry_id for each in await store.entries(4, None, None)] == ["e5", "e4", "e3", "e2"]
    assert [each.entry_id for each in await store.entries(4, "key-0", None)] == ["e4", "e2", "e0"]
    assert [each.entry_id for each in await store.entries(4, "key-0", "image-1")] == ["e4"]
    await store.trim_audit(2)
    assert [each.entry_id for each in await store.entries(9, None, None)] == ["e5", "e4"]
    await store.trim_audit(9)
    assert len(await store.entries(9, None, None)) == 2


async def test_statements_run_together_or_not_at_all(store: MetadataStore) -> None:
    image = record(1)
    await add(store, image)
    title = ("UPDATE images SET title = $2 WHERE image_id = $1", image.image_id, "new")
    wrong = ("INSERT INTO purges (image_id) VALUES ($1)", image.image_id)
    nothing = ("UPDATE images SET title = $2 WHERE image_id = $1", new_image_id(), "new")
    with pytest.raises(Unavailable):
        await store.change_together(title, wrong, entry=entry("failed"))
    assert not await store.change_together(nothing, title, entry=entry("no change"))
    found = await store.find(image.image_id)
    assert found
    assert found.title == ""
    assert await store.change_together(title, entry=entry("changed"))
    found = await store.find(image.image_id)
    assert found
    assert found.title == "new"
    assert [each.entry_id for each in await store.entries(9, None, None)] == ["changed"]


async def test_pages_are_complete_and_newest_first(store: MetadataStore) -> None:
    stored = [record(number) for number in range(7)]
    stored += [record(99, created_at=NOW - timedelta(days=1)) for _ in range(3)]  # at the same moment
    await add(store, *stored)
    found: list[ImageRecord] = []
    after = None
    while page := (await search(store, Filters(), 3, after)).images:
        found += page
        after = Position(page[-1].created_at, page[-1].image_id)
    assert found == sorted(stored, key=lambda r: (r.created_at, r.image_id), reverse=True)


async def test_a_deleted_image_is_found_but_not_listed(store: MetadataStore) -> None:
    stored = record()
    await add(store, stored)
    assert await store.mark_deleted(stored.image_id, NOW, NOW) is True
    assert await store.mark_deleted(stored.image_id, NOW, NOW) is False
    assert await store.mark_deleted(new_image_id(), NOW, NOW) is False
    found = await store.find(stored.image_id)
    assert found
    assert found.deleted_at == NOW
    assert not (await search(store, Filters(), 10, None)).images


async def test_a_deletion_stays_in_the_outbox_until_it_is_finished(store: MetadataStore) -> None:
    stored, later = record(), NOW + timedelta(seconds=5)
    await add(store, stored)
    assert await store.claim_purges(later, later, 10) == []
    await store.mark_deleted(stored.image_id, NOW, later)
    await store.mark_deleted(stored.image_id, NOW, NOW)
    await store.mark_deleted(new_image_id(), NOW, NOW)
    assert await store.claim_purges(NOW, later, 10) == []
    first = PendingPurge(stored.image_id, stored.sha256, NOW, 0)
    assert await store.claim_purges(later, later + timedelta(seconds=1), 10) == [first]
    assert await store.claim_purges(later, later, 10) == [], "only one caller gets a purge"
    await store.postpone_purge(first, 1, later)
    second = PendingPurge(stored.image_id, stored.sha256, NOW, 1)
    assert await store.claim_purges(later, later, 10) == [second]
    assert await store.is_purging(stored.sha256, NOW)
    assert not await store.is_purging(stored.sha256, NOW + timedelta(microseconds=1))
    assert not await store.is_purging("f" * 64, NOW)
    await store.finish_purge(second)
    assert not await store.is_purging(stored.sha256, NOW)
    assert await store.claim_purges(later + timedelta(days=1), later, 10) == []


async def test_contents_are_listed_once_in_the_order_of_their_hashes(store: MetadataStore) -> None:
    stored = [record(number % 5) for number in range(10)]
    gone = record(77)
    await add(store, *stored, gone)
    await store.mark_deleted(gone.image_id, NOW, NOW)
    found: list[StoredContent] = []
    while page := await store.contents(2, found[-1].sha256 if found else ""):
        found += page
    assert found == [StoredContent(f"{number:064x}", 5_000_000_000, damaged=False) for number in range(5)]
    ids = [image.image_id for image in stored if image.sha256 == found[3].sha256]
    assert await store.images_with(found[3].sha256, 10) == ids or len(set(ids)) == 2
    assert len(await store.images_with(found[3].sha256, 1)) == 1


async def test_damage_marks_all_images_of_a_content_and_purges_them_once(store: MetadataStore) -> None:
    later = NOW + timedelta(days=1)
    damaged, twin, other, gone = record(1), record(1), record(2), record(1)
    await add(store, damaged, twin, other, gone)
    await store.mark_deleted(gone.image_id, NOW, NOW)
    for at in (later, later + timedelta(seconds=1)):
        await mark_damaged(store, damaged.sha256, at)
    found = [await store.find(image.image_id) for image in (damaged, twin, other, gone)]
    assert [image and image.damaged_at for image in found] == [later, later, None, None]
    assert [content.damaged for content in await store.contents(9, "")] == [True, False]
    claimed = await store.claim_purges(later, later, 10)
    assert {(purge.image_id, purge.damaged) for purge in claimed} == {
        (damaged.image_id, True),
        (twin.image_id, True),
        (gone.image_id, False),
    }


async def test_an_upload_of_damaged_content_mends_it(store: MetadataStore) -> None:
    image, again = record(1), record(1)
    await add(store, image)
    await mark_damaged(store, image.sha256, NOW)
    async with store.lock_content(image.sha256) as content:
        assert await content.is_damaged()
        await content.add(again)
        await content.mend()
    async with store.lock_content(image.sha256) as content:
        assert not await content.is_damaged()


async def test_a_damaged_image_that_is_deleted_is_purged_as_deleted(store: MetadataStore) -> None:
    image = record(1)
    await add(store, image)
    await mark_damaged(store, image.sha256, NOW)
    (damage,) = await store.claim_purges(NOW, NOW, 10)
    await store.postpone_purge(damage, 2, NOW)
    await store.mark_deleted(image.image_id, NOW, NOW)
    deletion = PendingPurge(image.image_id, image.sha256, NOW)
    assert await store.claim_purges(NOW, NOW, 10) == [deletion]
    await store.postpone_purge(damage, 2, NOW + timedelta(days=1))  # a round that was on its way
    assert await store.claim_purges(NOW, NOW, 10) == [deletion]
    await store.finish_purge(damage)
    assert await store.claim_purges(NOW, NOW, 10) == [deletion]
    await store.finish_purge(deletion)
    assert await store.claim_purges(NOW, NOW, 10) == []


async def test_damage_of_the_same_image_at_another_time_is_another_purge(store: MetadataStore) -> None:
    image, far = record(1), NOW + timedelta(hours=1)
    await add(store, image)
    await mark_damaged(store, image.sha256, NOW)
    (first,) = await store.claim_purges(far, NOW, 10)
    async with store.lock_content(image.sha256) as content:
        await content.mend()
    await mark_damaged(store, image.sha256, NOW + timedelta(seconds=1))
    await store.finish_purge(first)
    assert [purge.deleted_at for purge in await store.claim_purges(far, far, 10)] == [NOW + timedelta(seconds=1)]


async def test_a_scrub_opens_the_database_of_a_running_service(store: MetadataStore) -> None:
    image = record(1)
    await add(store, image)
    another = create_store(store_config(store))
    await another.open(beside=True)
    await mark_damaged(another, image.sha256, NOW)
    await another.close()
    found = await store.find(image.image_id)
    assert found
    assert found.damaged_at


async def test_a_scrub_does_not_migrate_the_database_of_an_older_service(store: MetadataStore) -> None:
    names = [name for name, _ in pending_migrations(set())]
    assert await run_sql(store, "SELECT name FROM schema_migrations ORDER BY name") == names
    await forget_the_last_migrations(store)
    another = create_store(store_config(store))
    with pytest.raises(CannotStart, match=f"lacks the migrations {', '.join(names[-11:])}; start the storage"):
        await another.open(beside=True)
    await another.close()
    assert await run_sql(store, "SELECT name FROM schema_migrations ORDER BY name") == names[:-11]


async def test_a_scrub_of_an_empty_database_creates_nothing(postgres_url: str) -> None:
    await empty(postgres_url)
    connection = await asyncpg.connect(postgres_url)
    store = create_store(DatabaseConfig(postgres_url, None, 2))
    with pytest.raises(CannotStart, match="lacks the migrations 0001_images"):
        await store.open(beside=True)
    assert await connection.fetchval("SELECT to_regclass('schema_migrations')") is None
    await asyncio.gather(store.close(), connection.close())


async def test_room_for_deletions_is_reserved_after_the_server_was_too_slow_for_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserved = "SELECT pg_relation_size(to_regclass('disk_reserve')) > 0"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("DROP TABLE IF EXISTS images, purges, schema_migrations, sweeps, disk_reserve")
    monkeypatch.setattr(_postgres_room, "_WRITE_SECONDS", 0.2)
    monkeypatch.setattr(_postgres_room, "_SECONDS", 0)
    store = create_store(DatabaseConfig(postgres_url, None, 5))
    async with connection.transaction():
        await connection.execute("CREATE TABLE disk_reserve (filler TEXT)")  # the store waits for the end of this
        await store.open()
        await add(store, record(1))
        await connection.execute("DROP TABLE disk_reserve")
    assert await connection.fetchval(reserved) is None
    await add(store, record(2))
    assert await connection.fetchval(reserved)
    await asyncio.gather(store.close(), connection.close())


async def test_cancelled_deletions_are_complete_or_undone(store: MetadataStore) -> None:
    stored = [record(number) for number in range(60)]
    await add(store, *stored)
    for number, image in enumerate(stored):
        task = asyncio.create_task(store.mark_deleted(image.image_id, NOW, NOW))
        for _ in range(number % 6):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    last = record(99)
    await add(store, last)
    assert await store.mark_deleted(last.image_id, NOW, NOW)
    found = [await store.find(image.image_id) for image in (*stored, last)]
    deleted = {image.image_id for image in found if image and image.deleted_at}
    claimed = {purge.image_id for purge in await store.claim_purges(NOW, NOW + timedelta(days=1), 100)}
    assert deleted == claimed


async def test_each_purge_is_claimed_only_once(store: MetadataStore) -> None:
    stored = [record(number) for number in range(30)]
    await add(store, *stored)
    await asyncio.gather(*(store.mark_deleted(image.image_id, NOW, NOW) for image in stored))
    later = NOW + timedelta(seconds=5)
    claims = await asyncio.gather(*(store.claim_purges(NOW, later, 7) for _ in range(10)))
    assert sorted(purge.image_id for claim in claims for purge in claim) == sorted(i.image_id for i in stored)


async def test_the_next_purge_is_the_earliest_due(store: MetadataStore) -> None:
    def due(seconds: int) -> datetime:
        return NOW + timedelta(seconds=seconds)

    first, second = record(1), record(2)
    await add(store, first, second)
    assert await store.next_purge() is None
    await store.mark_deleted(first.image_id, NOW, due(5))
    await store.mark_deleted(second.image_id, NOW, due(3))
    assert await store.next_purge() == due(3)
    assert [purge.image_id for purge in await store.claim_purges(due(3), due(20), 10)] == [second.image_id]
    assert await store.next_purge() == due(5), "a claimed purge is due again at the end of the claim"
    await store.postpone_purge(PendingPurge(first.image_id, first.sha256, NOW), 1, due(30))
    assert await store.next_purge() == due(20)
    await store.finish_purge(PendingPurge(second.image_id, second.sha256, NOW))
    assert await store.next_purge() == due(30)
    await store.finish_purge(PendingPurge(first.image_id, first.sha256, NOW))
    assert await store.next_purge() is None


async def test_a_sweep_is_claimed_once_each_time_that_it_is_due(store: MetadataStore) -> None:
    def at(seconds: int) -> datetime:
        return NOW + timedelta(seconds=seconds)

    claims = await asyncio.gather(*(store.claim_sweep(NOW, at(60), at(900)) for _ in range(9)))
    assert sorted(claims) == [False] * 8 + [True], "the first one is due at once"
    assert not await store.claim_sweep(at(59), at(99), at(999))
    assert await store.claim_sweep(at(60), at(99), at(999)), "its node was stopped"
    await store.schedule_sweep(at(900))
    assert not await store.claim_sweep(at(100), at(101), at(900))
    assert await store.claim_sweep(at(100), at(101), at(899)), "the interval is shorter now"


async def test_content_is_used_while_an_image_has_it(store: MetadataStore) -> None:
    first, second = record(1), record(1)
    await add(store, first, second)
    for image, used in ((first, True), (second, False)):
        await store.mark_deleted(image.image_id, NOW, NOW)
        async with store.lock_content(first.sha256) as content:
            assert await content.is_used() is used
        assert await store.used_contents(["f" * 64, first.sha256]) == ({first.sha256} if used else set())


async def test_a_content_lock_excludes_other_processes(store: MetadataStore, tmp_path: Path) -> None:
    released = tmp_path / "released"
    program = f"""
import asyncio, pathlib
from storage_service.metadata.base import DatabaseConfig, create_store
async def main():
    store = create_store(DatabaseConfig({store_config(store).url!r}, None, 5))
    await store.open(beside=True)
    for content in ("b", "a"):
        async with store.lock_content(content * 64):
            print(content, pathlib.Path({str(released)!r}).exists(), flush=True)
    await store.close()
asyncio.run(main())
"""
    async with store.lock_content("a" * 64):
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, cwd=servers.ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert other.stdout
        assert await other.stdout.readline() == b"b False\n"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.stdout.readline(), 0.5)
        released.touch()
    assert await other.stdout.read() == b"a True\n"
    assert await other.wait() == 0


async def test_a_content_lock_excludes_only_the_same_content(store: MetadataStore) -> None:
    order: list[str] = []

    async def hold(name: str, sha256: str, until: asyncio.Event) -> None:
        async with store.lock_content(sha256):
            order.append(name)
            await until.wait()

    release, done = asyncio.Event(), asyncio.Event()
    done.set()
    first = asyncio.create_task(hold("first", "a" * 64, release))
    while not order:
        await asyncio.sleep(0)
    second = asyncio.create_task(hold("second", "a" * 64, done))
    await hold("other", "b" * 64, done)
    assert order == ["first", "other"]
    release.set()
    await asyncio.gather(first, second)
    assert order == ["first", "other", "second"]


async def test_an_image_id_is_unique(store: MetadataStore) -> None:
    stored = record()
    await add(store, stored)
    with pytest.raises(Unavailable):
        await add(store, stored)


async def test_opening_a_store_again_keeps_its_records(tmp_path: Path) -> None:
    stored = record()
    for _ in range(2):
        store = create_store(DatabaseConfig(f"sqlite:///{tmp_path}/images.sqlite3", None, 1))
        await store.open()
        if await store.find(stored.image_id) is None:
            await add(store, stored)
        else:
            assert await store.find(stored.image_id) == stored
        await store.close()


async def test_only_one_process_can_use_a_sqlite_database(tmp_path: Path) -> None:
    """Content locks work in one process only: a delete in another would remove the blob of an upload in this one."""
    first, second = (create_store(DatabaseConfig(f"sqlite:///{tmp_path}/images.sqlite3", None, 1)) for _ in range(2))
    await first.open()
    with pytest.raises(CannotStart, match="another process uses the SQLite database"):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


async def test_many_processes_can_migrate_at_the_same_time(postgres_url: str) -> None:
    await empty(postgres_url)
    connection = await asyncpg.connect(postgres_url)
    stores = [create_store(DatabaseConfig(postgres_url, None, 2)) for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    applied = await connection.fetch("SELECT name FROM schema_migrations")
    assert [row["name"] for row in applied] == [name for name, _ in pending_migrations(set())]
    await asyncio.gather(*(store.close() for store in stores), connection.close())


async def test_postgresql_that_is_down_is_unavailable_within_two_seconds(unused_tcp_port: int) -> None:
    store = create_store(DatabaseConfig(f"postgresql://x@127.0.0.1:{unused_tcp_port}/x", None, 2))
    async with asyncio.timeout(2):
        with pytest.raises(Unavailable):
            await store.find(new_image_id())


async def test_postgresql_can_start_after_the_service(
    postgres_url: str, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    url = urlsplit(postgres_url)
    late = url._replace(netloc=url.netloc.replace(str(url.port), str(unused_tcp_port))).geturl()
    store = create_store(DatabaseConfig(late, None, 2))
    connected = asyncio.Event()

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        connected.set()

    opening = asyncio.create_task(store.open())
    # A proxy that already runs, without a server behind it.
    async with await asyncio.start_server(hang_up, "127.0.0.1", unused_tcp_port), asyncio.timeout(10):
        await connected.wait()
    async with await asyncio.start_server(_forward_to(url), "127.0.0.1", unused_tcp_port):
        await opening
        assert await store.find(new_image_id()) is None
        await store.close()
    assert caplog.text.count("waiting up to 20 s for the metadata database") == 1


@pytest.mark.parametrize(
    ("user", "database", "text"),
    [("nobody", "postgres", "user name and password"), ("imgsvc", "nothing", "does not exist")],
)
async def test_a_wrong_user_or_database_is_reported_immediately(
    postgres_url: str, user: str, database: str, text: str
) -> None:
    url = urlsplit(postgres_url)
    wrong = url._replace(netloc=url.netloc.replace("imgsvc@", f"{user}@"), path=f"/{database}").geturl()
    store = create_store(DatabaseConfig(wrong, None, 2))
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable, match=text):
            await store.open()
    await store.close()


async def test_the_wait_for_postgresql_ends(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_START_SECONDS", 0.6)
    store = create_store(DatabaseConfig(f"postgresql://x@127.0.0.1:{unused_tcp_port}/x", None, 2))
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable, match="does not respond"):
            await store.open()
    await store.close()


def _forward_to(url: SplitResult) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(2**16):
            writer.write(some)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        responses, requests = await asyncio.open_connection(url.hostname, url.port)
        await asyncio.gather(copy(reader, requests), copy(responses, writer))

    return forward


async def test_frozen_postgresql_is_unavailable_within_two_seconds(tmp_path: Path) -> None:
    with servers.postgres(tmp_path) as url:
        store = create_store(DatabaseConfig(url, None, 2))
        await store.open()
        await asyncio.gather(*(store.find(new_image_id()) for _ in range(4)))  # open some connections
        frozen = _processes(tmp_path)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                async with asyncio.timeout(4):
                    with pytest.raises(Unavailable):
                        await store.find(new_image_id())
            async with asyncio.timeout(4):
                with pytest.raises(Unavailable):
                    await add(store, record())
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        assert await store.find(new_image_id()) is None
        await store.close()


def _processes(folder: Path) -> list[int]:
    postmaster = int((folder / "postgres/postmaster.pid").read_text().splitlines()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return [postmaster, *map(int, children)]


async def test_slow_uploads_do_not_delay_queries(postgres_url: str) -> None:
    store = create_store(DatabaseConfig(postgres_url, None, 1, 2))
    await store.open()
    async with store.lock_content("a" * 64), store.lock_content("b" * 64):
        async with asyncio.timeout(5):
            assert await store.find(new_image_id()) is None
        third = asyncio.create_task(add(store, record(7)))
        await asyncio.wait([third], timeout=1.7)  # longer than the time limit of a query
        assert not third.done()
    await third
    await store.close()


async def forget_the_last_migrations(store: MetadataStore) -> None:
    newer = (
        "access_secrets",
        "names",
        "name_versions",
        "looks",
        "deletions",
        "variants",
        "precomputed",
        "leases",
        "usage_chains",
        "usage_images",
        "usage_batches",
        "jobs",
        "levels",
    )
    for table in (*newer, "keys", "spaces", "upload_tokens", "audit"):
        await run_sql(store, f"DROP TABLE {table}")
    for table in ("webhooks", "deliveries"):
        await run_sql(store, f"DROP TABLE {table}")
    await run_sql(store, "DROP TABLE terms")
    await run_sql(store, "DROP TABLE repeats")
    await run_sql(store, "DROP INDEX images_expiring")
    labels = ("original_filename", "title", "alt", "tags", "metadata", "focus_x", "focus_y", "expires_at")
    for column in labels:
        await run_sql(store, f"ALTER TABLE images DROP COLUMN {column}")
    await run_sql(store, "DROP INDEX images_of_space")
    await run_sql(store, "ALTER TABLE images DROP COLUMN space")
    await run_sql(store, "DELETE FROM schema_migrations WHERE name >= '0008_access'")


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_a_migration_does_not_wait_for_slow_uploads_and_removals(store: MetadataStore) -> None:
    newer = create_store(store_config(store))
    async with store.lock_content("a" * 64) as stored, store.lock_content("b" * 64) as swept:
        assert not await stored.is_damaged()
        assert not await swept.is_used()
        async with asyncio.timeout(5):
            await forget_the_last_migrations(store)
            await newer.open()
    await newer.close()


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_a_migration_that_has_to_wait_does_not_stop_queries(
    store: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = record(1)
    await add(store, image)
    url = store_config(store).url
    await forget_the_last_migrations(store)
    backup, newer = await asyncpg.connect(url), create_store(store_config(store))
    async with backup.transaction():
        await backup.execute("SELECT count(*) FROM images")
        opening = asyncio.create_task(newer.open())
        async with asyncio.timeout(10):
            while not await backup.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation > 0"):
                assert not opening.done()
        assert await store.contents(9, ""), "within the time limit of a query"
        monkeypatch.setattr(postgres, "_START_SECONDS", 0.6)
        late = create_store(store_config(store))
        with pytest.raises(CannotStart, match="another transaction, such as a backup"):
            await late.open()
        assert not opening.done()
    await opening
    assert await newer.find(image.image_id) == image
    await asyncio.gather(newer.close(), late.close(), backup.close())


def test_an_unknown_scheme_is_reported() -> None:
    with pytest.raises(ValueError, match="'mysql'; use one of: postgres, postgresql, sqlite"):
        create_store(DatabaseConfig("mysql://x/y", None, 1))
