"""Levels in storage: what is kept, and what goes first."""

import hashlib
import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest

from imaging.header import Header
from imaging.levels import Level
from service_kit.errors import BadRequest, Gone, InsufficientStorage
from service_kit.spool import Spool, Spooled
from storage_service import derivatives as derivatives_module
from storage_service import levels as levels_module
from storage_service.blobs import Blobs
from storage_service.levels import Levels
from storage_service.metadata.base import ImageRecord, MetadataStore
from tests import pictures
from tests.storage_service.test_metadata import add, record

BODY = pictures.jpeg(960, 720)
HEADER = Header(
    format="jpeg", width=960, height=720, frames=1, orientation=1, colour_space="srgb", alpha=False, progressive=False,
)  # fmt: skip
FACTS = {"format": "jpeg", "width": 4000, "height": 3000, "frames": 1, "orientation": 6, "alpha": False}


class Kept:
    """Levels of images that exist."""

    def __init__(self, store: MetadataStore, folder: Path, limit: int) -> None:
        self.store, self.folder = store, folder
        self.blobs = Blobs(f"file://{folder}")
        Spool(self.blobs.spool_folder).prepare()
        self.levels = Levels(store, self.blobs, limit)

    async def image(self, number: int) -> ImageRecord:
        image = record(number, **FACTS)
        await add(self.store, image)
        return image

    async def keep(self, image: ImageRecord, body: bytes = BODY, side: int = 960) -> None:
        path = Spool(self.blobs.spool_folder).new_path()
        path.write_bytes(body)
        await self.levels.keep(image, side, Spooled(path, len(body), hashlib.sha256(body).hexdigest()), HEADER)

    def files(self) -> list[str]:
        found = (self.folder / "levels").rglob("*")
        return sorted(path.name for path in found if path.is_file())

    async def fit(self) -> None:
        await self.levels.fit(low=self.levels.is_low())


@pytest.fixture
def kept(store: MetadataStore, tmp_path: Path) -> Kept:
    return Kept(store, tmp_path / "blobs", 10 * len(BODY))


async def of(levels: Levels, image: ImageRecord) -> tuple[Level, ...] | None:
    """The levels of an image."""
    return await levels.of(image, await levels.rows(image.sha256))


async def test_a_level_is_found_until_its_content_is_gone(kept: Kept) -> None:
    image = await kept.image(1)
    assert await of(kept.levels, image) == ()
    await kept.keep(image)
    (level,) = await of(kept.levels, image) or ()
    assert (level.side, level.header, level.bytes) == (960, HEADER, len(BODY))
    assert level.sha256 == hashlib.sha256(BODY).hexdigest()
    assert level.path
    assert level.path.read_bytes() == BODY
    async with kept.store.lock_content(image.sha256):
        await kept.levels.forget(image.sha256)
    assert await of(kept.levels, image) == ()
    assert kept.files() == []


async def test_a_level_is_stored_once_until_it_is_dropped(kept: Kept) -> None:
    image = await kept.image(1)
    other = pictures.jpeg(960, 720, Q=30)
    digest = hashlib.sha256(BODY).hexdigest()
    await kept.keep(image)
    await kept.keep(image, other)  # another node made it, too
    (level,) = await of(kept.levels, image) or ()
    assert level.sha256 == digest
    await kept.levels.drop(image.sha256, "960", hashlib.sha256(other).hexdigest())
    assert await of(kept.levels, image) == (level,), "another one than was lost"
    await kept.levels.drop(image.sha256, "960", digest)
    assert (await of(kept.levels, image), kept.files()) == ((), [])
    await kept.keep(image, other)
    (level,) = await of(kept.levels, image) or ()
    assert level.path
    assert level.path.read_bytes() == other


async def test_levels_of_another_version_are_not_used(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    image = await kept.image(1)
    await kept.keep(image)
    monkeypatch.setattr(levels_module, "VERSION", levels_module.VERSION + 1)
    assert await of(kept.levels, image) == ()
    await kept.keep(image)
    assert len(await of(kept.levels, image) or ()) == 1


async def test_the_least_used_levels_go_first_and_those_of_another_version_before_them(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    images = [await kept.image(number) for number in range(12)]
    for age, image in enumerate(images):
        monkeypatch.setattr(levels_module, "VERSION", 1 if age == 3 else 2)
        await kept.keep(image)
        await kept.store.change("UPDATE levels SET used_at = $1 WHERE sha256 = $2", now - age * 10_000, image.sha256)
    await of(kept.levels, images[11])  # now it is the one used last
    await kept.fit()
    left = set(kept.files())
    gone = [age for age, image in enumerate(images) if image.sha256 not in left]
    assert gone == [3, 9, 10]  # 9 of 12 fit, with a sixteenth to spare
    assert await of(kept.levels, images[9]) == ()


async def test_levels_give_way_on_a_disk_that_is_almost_full(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [await kept.image(number) for number in range(8)]
    for image in images:
        await kept.keep(image)
    monkeypatch.setattr(derivatives_module, "_LEAST_FREE", 2 * shutil.disk_usage(kept.folder).total)
    monkeypatch.setattr(derivatives_module, "_LEAST_FREE_SHARE", 2.0)
    with pytest.raises(InsufficientStorage, match="the disk is almost full"):
        await kept.keep(images[0])
    low = iter([True, True, False])
    monkeypatch.setattr(kept.levels, "is_low", lambda: next(low))
    await kept.fit()
    assert len(kept.files()) == 6  # one for each look, until the disk has room
    monkeypatch.setattr(kept.levels, "is_low", lambda: True)
    await kept.fit()
    assert kept.files() == []


@pytest.mark.parametrize(
    ("changes", "side", "error"),
    [
        ({"width": 959}, 960, "is not 960 x 720 pixels in JPEG, upright"),
        ({"format": "png"}, 960, "is not 960 x 720 pixels in JPEG, upright"),
        ({"orientation": 3}, 960, "upright"),
        ({}, 1920, "is not 1920 x 1440 pixels"),
        ({}, 801, "has no level of 801 pixels"),
    ],
)
async def test_what_is_no_level_is_refused(kept: Kept, changes: dict[str, object], side: int, error: str) -> None:
    image = await kept.image(1)
    upload = Spooled(kept.folder / "none", 1, "a" * 64)
    with pytest.raises(BadRequest, match=error):
        await kept.levels.keep(image, side, upload, HEADER.model_copy(update=changes))


async def test_no_level_is_stored_for_a_deleted_image(kept: Kept) -> None:
    image = await kept.image(1)
    now = image.created_at
    await kept.store.mark_deleted(image.image_id, now, now)
    with pytest.raises(Gone):
        await kept.keep(image)
    assert kept.files() == []


async def test_the_sweep_removes_files_that_no_row_knows(kept: Kept) -> None:
    image, crashed = await kept.image(1), await kept.image(2)
    for each in (image, crashed):
        await kept.keep(each)
    await kept.store.change("DELETE FROM levels WHERE sha256 = $1", crashed.sha256)
    assert await kept.levels.sweep(timedelta(hours=1)) == 0
    assert await kept.levels.sweep(timedelta(hours=-1)) == 1
    assert kept.files() == [image.sha256]


async def test_a_blob_store_that_nobody_else_can_read_has_no_levels(store: MetadataStore) -> None:
    levels = Levels(store, Blobs("memory://"), 1000)
    assert await of(levels, record(1, **FACTS)) is None


async def test_levels_of_animations_do_not_exist(kept: Kept) -> None:
    image = record(1, **{**FACTS, "format": "gif", "frames": 2})
    assert await of(kept.levels, image) == ()
