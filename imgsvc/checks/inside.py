"""Looks at a deployment from inside, by its settings: those of this environment, as the services read them."""

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imgsvc.checks.contradictions import contradictions
from imgsvc.checks.findings import Finding, good, note, problem, warning
from imgsvc.checks.writing import picture
from imgsvc.settings import ServeSettings
from imgsvc.terminal.output import size
from service_kit.errors import CannotStart, ServiceError
from service_kit.settings import read_settings
from service_kit.threads import in_thread
from service_kit.urls import redacted
from storage_service import secret_changes
from storage_service.app import database_config
from storage_service.blobs import Blobs
from storage_service.metadata.base import create_store
from storage_service.settings import StorageSettings
from transform_service.local import LocalTransformer
from transform_service.settings import TransformSettings

_LEAST_BYTES, _FEW_BYTES = 1 << 30, 10 << 30


async def look() -> AsyncIterator[Finding]:
    """Everything that the settings lead to."""
    try:
        serve, storage, transform = _settings()
    except CannotStart as error:
        for line in str(error).splitlines():
            yield problem("settings", line, "correct it; docs/configuration.md describes all settings")
        return
    yield good("settings", "all settings are valid" + (" that this container has" if storage.purge_urls else ""))
    for finding in contradictions(serve, storage, transform):
        yield finding
    async for finding in _database(storage):
        yield finding
    async for finding in _blobs(storage):
        yield finding
    async for finding in _cache(storage, transform):
        yield finding
    for finding in _disks(storage, transform):
        yield finding
    async for finding in _rendering(transform):
        yield finding


def _settings() -> tuple[ServeSettings, StorageSettings, TransformSettings]:
    read_settings(ServeSettings, StorageSettings, TransformSettings)  # all problems at once
    return ServeSettings(), StorageSettings(), TransformSettings()


async def _database(settings: StorageSettings) -> AsyncIterator[Finding]:
    where = redacted(settings.database)
    try:
        metadata = create_store(database_config(settings))
        await metadata.open(beside=True)
    except (CannotStart, ValueError) as error:
        yield problem("database", f"{where}: {error}", "start the service once, which creates and updates it")
        return
    except ServiceError as error:
        yield problem("database", f"{where}: {error}", "start the database, and check DATABASE_URL")
        return
    try:
        ((images,),) = await metadata.fetch("SELECT count(*) FROM images WHERE deleted_at IS NULL")
        yield good("database", f"{where} responds, is up to date, and has {int(images):,} images")
        if replaced := await secret_changes.replaced_at(metadata):
            moment = f"{replaced:%Y-%m-%d %H:%M} UTC"
            text = f"the access secret was replaced on {moment}: URLs that were signed before answer 403"
            advice = "restore the old one from a backup (docs/production.md), or sign again, and rotate webhooks"
            yield warning("access secret", text, advice)
    except ServiceError as error:
        yield problem("database", f"{where}: {error}", "look at the log of the database")
    finally:
        await metadata.close()


async def _blobs(settings: StorageSettings) -> AsyncIterator[Finding]:
    where = redacted(settings.blobs)
    if where.startswith("memory:"):
        return  # see contradictions
    try:
        folder = Path(unquote(urlsplit(settings.blobs).path))
        if where.startswith("file:") and not await in_thread(folder.is_dir):
            yield problem("blobs", f"{where} does not exist", "set DATA_DIR or BLOB_URL to those of the service")
            return
        blobs = Blobs(settings.blobs, settings.blob_seconds)
        probe, sha256 = await in_thread(_probe, blobs)
        await blobs.add(sha256, probe)
        await in_thread(probe.unlink, missing_ok=True)
        await blobs.delete(sha256)
    except (ServiceError, OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        advice = "check BLOB_URL, who owns the folder, and the keys of the object store"
        yield problem("blobs", f"cannot write to {where}: {reason}", advice)
        return
    yield good("blobs", f"{where} takes and deletes blobs")


def _probe(blobs: Blobs) -> tuple[Path, str]:
    """A file to store, in the folder from which a rename stores it, and its hash."""
    content = secrets.token_bytes(32)
    folder = blobs.spool_folder if blobs.in_files else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"imgsvc-doctor-{secrets.token_hex(8)}"
    file.write_bytes(content)
    return file, hashlib.sha256(content).hexdigest()


async def _cache(storage: StorageSettings, settings: TransformSettings) -> AsyncIterator[Finding]:
    url = settings.result_cache_url
    if not urlsplit(url).scheme.startswith("redis"):
        if storage.purge_urls:  # other services have other settings
            advice = "if the transform service uses Redis, its log says whether Redis responds"
            yield note("redis", "the storage service does not use Redis, so nothing was checked", advice)
        else:
            advice = "several nodes share results in Redis"
            yield note("redis", "with these settings, each process has a cache of its own", advice)
        return
    from redis.asyncio import from_url  # noqa: PLC0415  # only this needs it
    from redis.exceptions import RedisError  # noqa: PLC0415

    from service_kit.settings import secret_in  # noqa: PLC0415

    try:
        password = secret_in("RESULT_CACHE_PASSWORD_FILE", settings.result_cache_password_file)
        async with from_url(url, password=password, socket_timeout=3, socket_connect_timeout=3) as redis:
            await redis.ping()
    except (RedisError, OSError, CannotStart, TimeoutError) as error:
        advice = "start Redis, or correct RESULT_CACHE_URL; until then, every result is rendered again"
        yield problem("redis", f"{redacted(url)} does not respond: {error}", advice)
    else:
        yield good("redis", f"{redacted(url)} responds")


def _disks(storage: StorageSettings, transform: TransformSettings) -> Iterator[Finding]:
    for setting, folder in (("DATA_DIR", storage.data_dir), ("SPOOL_DIR", transform.spool_dir)):
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free
        said = f"{size(free)} are free in {setting} ({folder})"
        if not os.access(there, os.W_OK):
            yield problem("disk", f"{there} is not writable ({setting})", "give it to the user of the service")
        elif free < _LEAST_BYTES:
            yield problem("disk", said, "make room: uploads are refused soon")
        elif free < _FEW_BYTES:
            yield warning("disk", said, "make room, or lower LEVEL_BYTES and VARIANT_BYTES")
        else:
            yield good("disk", said)


async def _rendering(settings: TransformSettings) -> AsyncIterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="imgsvc-") as folder:
        source = Path(folder) / "probe.png"
        await in_thread(source.write_bytes, picture())
        try:
            async with LocalTransformer(settings.model_copy(update={"sandbox": "required"})) as transformer:
                await transformer.transform("thumb=16&blur=1", source, f"{folder}/result", "webp")
        except CannotStart as error:
            if settings.sandbox == "off":
                yield warning("sandbox", "SANDBOX=off: decoders may do everything", "set it to auto or required")
            else:
                yield warning("sandbox", str(error), "use a kernel with seccomp and Landlock (5.13 or later)")
        except (ServiceError, OSError) as error:
            yield problem("sandbox", f"a render fails: {error}", "look at the message; `imgsvc transform` shows more")
        else:
            yield good("sandbox", "a render works inside the complete sandbox")
