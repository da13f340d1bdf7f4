"""Changes of images, when somebody else changes the same image meanwhile."""

from pathlib import Path

import pytest

from service_kit.access import Identity, Scope, Visibility
from service_kit.errors import Forbidden
from storage_service.audit import AuditTrail
from storage_service.blobs import Blobs
from storage_service.caches import Caches
from storage_service.changes import Change, Changes
from storage_service.library import Library
from storage_service.metadata.base import ImageRecord, Labels, MetadataStore
from storage_service.purging import Purger
from storage_service.settings import StorageSettings
from storage_service.validation import Validator
from tests.storage_service.conftest import derived
from tests.storage_service.test_metadata import add, record, run_sql


async def test_an_image_that_has_just_become_pending_is_not_released_by_its_uploader(
    store: MetadataStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = record(visibility="private")
    await add(store, image)
    uploader = Identity("k", frozenset({Scope.UPLOAD, Scope.READ}))
    find = store.find

    async def find_and_be_overtaken(image_id: str) -> ImageRecord | None:
        found = await find(image_id)
        monkeypatch.setattr(store, "find", find)
        await run_sql(store, "UPDATE images SET visibility = 'pending'")
        return found

    async with Caches(()) as caches:
        purger, audit, parts = Purger(store, caches), AuditTrail(store, 9), derived(store, Blobs(f"file://{tmp_path}"))
        library = Library(store, Blobs(f"file://{tmp_path}"), Validator(StorageSettings()), purger, audit, **parts)
        changes = Changes(store, library, purger, audit, parts["events"])
        monkeypatch.setattr(store, "find", find_and_be_overtaken)
        with pytest.raises(Forbidden, match="releasing a pending image requires the scope `moderate`"):
            await changes.apply(image.image_id, Change(Labels(), Visibility.PUBLIC), uploader)
    after = await store.find(image.image_id)
    assert after
    assert after.visibility == "pending"
