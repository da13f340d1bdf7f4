"""Settings that are valid each, but do not fit together, or this machine."""

import os
from collections.abc import Iterator
from importlib import metadata

from imgsvc.checks.findings import Finding, good, note, problem, warning
from imgsvc.settings import ServeSettings
from service_kit.processes.memory import available_memory
from storage_service.settings import StorageSettings
from transform_service.settings import TransformSettings

_LOOPBACK = ("127.", "localhost", "::1")
_RENDERER_BYTES = 256 << 20


def contradictions(serve: ServeSettings, storage: StorageSettings, transform: TransformSettings) -> Iterator[Finding]:
    """All of them."""
    found = [*_access(serve, storage), *_losses(storage), *_advice(storage), *_machine(transform)]
    yield from found or [good("settings", "no settings contradict each other")]
    yield from _libvips()


def _access(serve: ServeSettings, storage: StorageSettings) -> Iterator[Finding]:
    published = "PUBLISH" in os.environ and not storage.publish.startswith(_LOOPBACK)  # in containers
    reached = published or not serve.host.startswith(_LOOPBACK) or bool(storage.public_url)
    if storage.auth == "open" and reached:
        advice = "set AUTH=auto or AUTH=keys, unless the network in front lets only you in"
        yield problem("settings", "AUTH=open, and others can reach the service: everybody may delete images", advice)
    if storage.auth == "open" and storage.default_visibility == "private":
        advice = "set AUTH=keys, or DEFAULT_VISIBILITY=public"
        yield warning("settings", "DEFAULT_VISIBILITY=private protects nothing with AUTH=open", advice)
    if storage.public_url.startswith("http://") and not storage.public_url[7:].startswith(_LOOPBACK):
        advice = "use https in PUBLIC_URL, and TLS in front"
        yield warning("settings", "links in responses are http (PUBLIC_URL), so keys may travel unencrypted", advice)
    if storage.public_url and storage.allowed_hosts:
        host = storage.public_url.partition("://")[2].partition("/")[0].partition(":")[0]
        patterns = storage.allowed_hosts
        fits = any(each in {"*", host} or (each[:2] == "*." and host.endswith(each[1:])) for each in patterns)
        if not fits:
            advice = f"add {host!r} to ALLOWED_HOSTS"
            yield problem("settings", f"ALLOWED_HOSTS refuses {host}, which PUBLIC_URL names", advice)


def _losses(storage: StorageSettings) -> Iterator[Finding]:
    if storage.blobs.startswith("memory:"):
        advice = "set BLOB_URL to file:///… or s3://…"
        yield problem("settings", "BLOB_URL=memory:// loses all images with the process", advice)
    processes = os.environ.get("WEB_CONCURRENCY", "1")
    if storage.database.startswith("sqlite") and processes.isdigit() and int(processes) > 1:
        advice = "set WEB_CONCURRENCY=1, or DATABASE_URL to a PostgreSQL"
        yield problem("settings", f"SQLite serves one process, and WEB_CONCURRENCY is {processes}", advice)


def _advice(storage: StorageSettings) -> Iterator[Finding]:
    if storage.precompute_automatically and not storage.variant_bytes:
        advice = "raise VARIANT_BYTES, or set PRECOMPUTE_AUTOMATICALLY=false"
        yield warning("settings", "PRECOMPUTE_AUTOMATICALLY has no effect, since VARIANT_BYTES is 0", advice)
    if storage.purge_hook_url and not storage.surrogate_key_header and "{key}" in storage.purge_hook_url:
        advice = "set SURROGATE_KEY_HEADER, so that the CDN knows which responses show an image"
        yield warning("settings", "PURGE_HOOK_URL purges by key, but responses have none", advice)


def _machine(transform: TransformSettings) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    if transform.renderers > 2 * cores:
        advice = f"set RENDERERS={cores}"
        yield warning(
            "settings", f"RENDERERS={transform.renderers} on {cores} cores: renders wait for each other", advice
        )
    memory = available_memory()
    if transform.render_memory_bytes > memory:
        advice = "lower RENDER_MEMORY_BYTES, or leave it out"
        yield problem("settings", f"RENDER_MEMORY_BYTES is more than the {memory >> 20} MiB that are available", advice)
    elif memory < _RENDERER_BYTES * transform.renderers:
        advice = "lower RENDERERS, or give the service more memory"
        yield warning("settings", f"{memory >> 20} MiB are available for {transform.renderers} renderers", advice)


def _libvips() -> Iterator[Finding]:
    versions = {each.metadata["Name"].lower().replace("_", "-"): each.version for each in metadata.distributions()}
    if version := next((found for name, found in versions.items() if name.endswith("vips-binary")), None):
        yield good("libvips", f"libvips {version} comes with the service")
    else:
        yield note("libvips", "libvips is that of the system", "install the one with which the service is tested")
