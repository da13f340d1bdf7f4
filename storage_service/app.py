"""Assembles the storage service."""

import asyncio
import contextlib
import functools
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs

from aiohttp import web

import pages.routes
from imaging.tasks import READ_HEADER
from service_kit.access import Mode
from service_kit.errors import CannotStart, ServiceError
from service_kit.http import access, middlewares, paths, request_log, server, tracing
from service_kit.http.disks import Disks
from service_kit.http.health import probe_routes
from service_kit.http.metrics import metrics_route
from service_kit.processes import worker
from service_kit.settings import secret_in
from service_kit.spool import Spool
from service_kit.urls import for_each_host, parts_of
from storage_service import secret_changes
from storage_service.audit import AuditTrail
from storage_service.blobs import Blobs
from storage_service.caches import Caches, PurgeableCache
from storage_service.changes import Changes
from storage_service.deletions import Deletions
from storage_service.deliveries import Deliveries
from storage_service.delivering import Delivering
from storage_service.derived import Derived
from storage_service.events import Describe, Events
from storage_service.expiring import Expiry
from storage_service.first_key import FirstKey
from storage_service.http import (
    audits,
    handlers,
    internal,
    jobs,
    keys,
    me,
    names,
    receiving,
    signing,
    spaces,
    tokens,
    usage,
    webhooks,
)
from storage_service.http import deletions as http_deletions
from storage_service.http import looks as http_looks
from storage_service.http import variants as http_variants
from storage_service.http.images import Image
from storage_service.jobs import Jobs
from storage_service.keyring import Keyring
from storage_service.levels import Levels
from storage_service.library import Library
from storage_service.looks import Looks
from storage_service.metadata.base import DatabaseConfig, MetadataStore, create_store
from storage_service.names import Names
from storage_service.precomputed import Precomputed
from storage_service.precomputing import Precomputing
from storage_service.purge_hook import PurgeHook
from storage_service.purging import Purger
from storage_service.receivers import Receivers
from storage_service.settings import StorageSettings
from storage_service.subscriptions import Subscriptions
from storage_service.sweeping import Sweeper
from storage_service.tokens import UploadTokens
from storage_service.usage import Usage
from storage_service.validation import Validator
from storage_service.variants import Variants

_SHORTEST_SECRET = 32
PURGER = web.AppKey("PURGER", Purger)
DELIVERIES = web.AppKey("DELIVERIES", Deliveries)
DISKS = web.AppKey("DISKS", Disks)
FIRST_KEY = web.AppKey("FIRST_KEY", FirstKey)
"""The first key of all, if it was made at this start."""


def create_app(settings: StorageSettings) -> web.Application:
    """The storage service on its own, with the route that the transform service uses."""
    app = web.Application()
    middlewares.setup(app)
    tracing.setup(app, "storage")
    access.setup(app, settings, settings.publish, behind_nginx=True)
    setup(app, settings)
    app.add_routes(public_routes())
    app.add_routes(internal.routes())
    app.add_routes(pages.routes.routes(settings.path_prefix))
    app.add_routes([web.get(paths.IDENTITY, keys.identity)])
    app.add_routes(jobs.routes())
    app.add_routes([web.post(paths.USAGE_BATCH, usage.add)])
    app.add_routes([web.get(paths.ACCESS + "{target:.*}", signing.access_of)])
    app.add_routes([web.get(paths.NAMED, names.resolve)])
    app.add_routes([metrics_route(_observe)])
    app.on_startup.append(_show_first_key)
    app.add_routes(probe_routes("image-storage"))
    app.on_startup.append(server.freeze_objects)
    worker.preload([READ_HEADER])
    return app


def public_routes() -> list[web.RouteDef]:
    """The routes for clients."""
    return [
        *handlers.routes(),
        *http_looks.routes(),
        *http_variants.routes(),
        *http_deletions.routes(),
        *names.routes(),
        *keys.routes(),
        *me.routes(),
        *tokens.routes(),
        *signing.routes(),
        *spaces.routes(),
        *audits.routes(),
        *usage.routes(),
        *webhooks.routes(),
    ]


async def _show_first_key(app: web.Application) -> None:
    if FIRST_KEY in app:
        app[FIRST_KEY].show(app[receiving.SETTINGS].link_base or "http://HOST")


def setup(app: web.Application, settings: StorageSettings, own_caches: Sequence[PurgeableCache] = ()) -> None:
    """Give `app` a library. The caller adds the routes. `own_caches` are those in this process."""
    app[receiving.SETTINGS] = settings
    app.cleanup_ctx.append(functools.partial(_library, own_caches=own_caches))


async def _library(app: web.Application, own_caches: Sequence[PurgeableCache]) -> AsyncIterator[None]:
    settings = app[receiving.SETTINGS]
    blobs = Blobs(settings.blobs, settings.blob_seconds)
    spool = Spool(blobs.spool_folder)
    spool.prepare()
    metadata = create_store(database_config(settings))
    app[DISKS] = Disks(
        {"blobs" if blobs.in_files else "incoming": blobs.spool_folder}
        | ({"database": metadata.folder} if metadata.folder else {})
    )
    validator = Validator(settings)
    async with contextlib.AsyncExitStack() as stack:
        await metadata.open()
        stack.push_async_callback(metadata.close)
        await validator.start()
        stack.push_async_callback(validator.close)
        caches = await stack.enter_async_context(Caches(settings.purge_urls, own_caches))
        hook = await stack.enter_async_context(PurgeHook(settings)) if settings.purge_hook_url else None
        purger = app[PURGER] = Purger(metadata, caches, hook)
        stack.push_async_callback(purger.close)
        audit = app[audits.AUDIT] = AuditTrail(metadata, settings.audit_entries)
        stack.push_async_callback(audit.close)
        master = access_secret(settings, keys_required=app[access.MODE] is Mode.KEYS)
        stack.callback(asyncio.create_task(blobs.look_for_mistakes()).cancel)
        await secret_changes.note(metadata, audit, master)
        keyring = app[keys.KEYRING] = app[access.AUTHORITY] = Keyring(metadata, audit, master)
        events = await _events(app, stack, metadata, audit, master)
        app[receiving.TOKENS] = UploadTokens(metadata, keyring, audit)
        app[spaces.METADATA] = metadata
        if app[access.MODE] is Mode.KEYS and (new := await app[keys.KEYRING].create_first()):
            app[FIRST_KEY] = FirstKey(new)
            stack.push_async_callback(_show_first_key, app)  # the start may fail, and the next one makes no other key
        levels = Levels(metadata, blobs, settings.level_bytes)
        variants = app[http_variants.VARIANTS] = Variants(metadata, blobs, settings.variant_bytes)
        precomputed = app[usage.PRECOMPUTED] = Precomputed(metadata)
        queue = app[jobs.JOBS] = Jobs(metadata, events)
        counts = app[usage.USAGE] = Usage(metadata)
        looks = app[http_looks.LOOKS] = Looks(metadata)
        derived = Derived(levels, variants, precomputed, queue, looks)
        library = Library(metadata, blobs, validator, purger, audit, derived=derived, usage=counts, events=events)
        app[receiving.SPOOL], app[receiving.LIBRARY] = spool, library
        app[names.NAMES] = Names(metadata, caches, audit, events)
        app[handlers.CHANGES] = Changes(metadata, library, purger, audit, events)
        sweeper = Sweeper(metadata, library, spool, settings.sweep_seconds)
        precomputing = Precomputing(
            metadata, precomputed, variants, queue, counts,
            looks=looks, levels=levels, cores=settings.precompute_cpu, automatic=settings.precompute_automatically,
        )  # fmt: skip
        stack.push_async_callback(precomputing.close)
        expiry = Expiry(metadata, library)
        deletions = app[http_deletions.DELETIONS] = Deletions(metadata, library)
        stack.push_async_callback(deletions.close)
        work = (sweeper, purger, deletions, levels, variants, precomputing, expiry)
        for each in work:
            stack.callback(asyncio.create_task(each.run()).cancel)
        yield


async def _events(
    app: web.Application, stack: contextlib.AsyncExitStack, metadata: MetadataStore, audit: AuditTrail, master: bytes
) -> Events:
    """What adds events. They are sent until the end of `stack`."""
    settings = app[receiving.SETTINGS]
    events, deliveries = Events(metadata, describing(settings)), Deliveries(metadata)
    receivers = await stack.enter_async_context(Receivers(master, settings.webhook_allowed_networks))
    app[DELIVERIES] = deliveries
    app[webhooks.SUBSCRIPTIONS] = Subscriptions(metadata, audit, events, deliveries, receivers)
    delivering = Delivering(events, deliveries, receivers)
    stack.push_async_callback(delivering.close)
    stack.callback(asyncio.create_task(delivering.run()).cancel)
    return events


async def _observe(app: web.Application) -> None:
    request_log.flush()
    await app[DISKS].observe()
    await app[PURGER].observe()
    with contextlib.suppress(ServiceError):  # the gauges keep their values
        await app[jobs.JOBS].observe()
        await app[DELIVERIES].observe()


def describing(settings: StorageSettings) -> Describe:
    """What events say about images: what an upload answers."""
    return lambda record: Image.of(record, settings.link_base).model_dump(mode="json")


def access_secret(settings: StorageSettings, *, keys_required: bool = True) -> bytes:
    """The secret from which signing secrets are derived. Raises CannotStart if it is missing or too short.

    It is created in DATA_DIR, unless other machines may use the same database and require keys.
    """
    file, own = settings.access_secret_file, settings.data_dir / "access_secret"
    if file is None and (settings.database.startswith("sqlite:") or not keys_required or own.exists()):
        file = _created_secret(own)
    secret = secret_in("ACCESS_SECRET_FILE", file)
    if secret is None:
        raise CannotStart(
            "ACCESS_SECRET_FILE is required with PostgreSQL; create the file with"
            " `head -c 32 /dev/urandom | base64 > access_secret`, the same for all nodes"
        )
    if len(secret) < _SHORTEST_SECRET:
        raise CannotStart(
            f"ACCESS_SECRET_FILE {file} has fewer than {_SHORTEST_SECRET} characters; create it with"
            " `head -c 32 /dev/urandom | base64`"
        )
    return secret.encode()


def _created_secret(file: Path) -> Path:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            new = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
            new.touch(0o600)
            new.write_text(secrets.token_urlsafe(32))
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.link(new, file)
            new.unlink()
    except OSError as error:
        raise CannotStart(f"cannot write {file}: {error.strerror}; set ACCESS_SECRET_FILE") from error
    return file


def _password_in(file: Path | None) -> Callable[[], str] | None:
    """What reads the file again each time; None without a file. If that fails later, the password is what it was."""
    if (known := secret_in("DATABASE_PASSWORD_FILE", file)) is None:
        return None

    def read() -> str:
        nonlocal known
        with contextlib.suppress(CannotStart):
            known = secret_in("DATABASE_PASSWORD_FILE", file)
        return known or ""

    return read


def database_config(settings: StorageSettings) -> DatabaseConfig:
    """How to connect to the database. A password in its URL comes first: Compose always sets the file.

    Raises CannotStart if the file with the password is needed and unreadable, ValueError if the URL is invalid.
    """
    parts = parts_of("DATABASE_URL", for_each_host(settings.database)[0])
    in_url = parts.password or "password" in parse_qs(parts.query)
    file = None if in_url else settings.database_password_file
    return DatabaseConfig(
        settings.database,
        _password_in(file),
        settings.database_pool,
        settings.database_lock_pool,
        prepared_statements=settings.database_prepared_statements,
    )
