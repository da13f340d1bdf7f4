"""The command `imgsvc sweep`, which is `python -m storage_service.sweep` in the container of the storage service."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import timedelta

from service_kit.durations import duration
from service_kit.errors import CannotStart, ServiceError
from service_kit.leaving import leave
from service_kit.observing.logging import configure_logging
from service_kit.settings import read_settings
from storage_service.app import database_config
from storage_service.audit import AuditTrail
from storage_service.beside import FAILED, USAGE, WELL
from storage_service.blobs import Blobs
from storage_service.caches import Caches
from storage_service.derived import Derived
from storage_service.events import Events
from storage_service.jobs import Jobs
from storage_service.levels import Levels
from storage_service.library import Library
from storage_service.looks import Looks
from storage_service.metadata.base import MetadataStore, create_store
from storage_service.precomputed import Precomputed
from storage_service.purging import Purger
from storage_service.settings import StorageSettings
from storage_service.usage import Usage
from storage_service.validation import Validator
from storage_service.variants import Variants

DESCRIPTION = """\
Remove blobs that no image uses, and other traces of deleted images, next to running services, which do it once a day
by themselves (SWEEP_SECONDS). Blobs that were written lately stay, since an upload may be in progress.
"""
EPILOG = """\
exit code: 0 done; 2 wrong usage or settings; 3 the database or the blob store does not respond. The settings are those
of the storage service.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--age", type=duration, metavar="TIME", help="remove only blobs that are older: 1h, 2d (default: SWEEP_SECONDS)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Sweep, and return the exit code."""
    try:
        (settings,) = read_settings(StorageSettings)
        configure_logging("ERROR", "text")
        removed = asyncio.run(_sweep(settings, options.age or timedelta(seconds=settings.sweep_seconds)))
    except (CannotStart, ValueError) as error:
        return _complain(error, USAGE)
    except (ServiceError, OSError) as error:
        return _complain(error, FAILED)
    said = f"removed {removed} blob{'s' * (removed != 1)} that no image uses"
    print(json.dumps({"removed": removed}) if options.json else said)
    return WELL


async def _sweep(settings: StorageSettings, age: timedelta) -> int:
    if settings.blobs.startswith("memory:"):
        raise CannotStart("blobs in memory (BLOB_URL) belong to another process, and end with it; nothing to sweep")
    metadata = create_store(database_config(settings))
    await metadata.open(beside=True)
    try:
        async with Caches(settings.purge_urls, ()) as caches:
            return await _library(settings, metadata, caches).sweep(age)
    finally:
        await metadata.close()


def _library(settings: StorageSettings, metadata: MetadataStore, caches: Caches) -> Library:
    """A library that sweeps. It receives nothing, and deletes no images."""
    blobs = Blobs(settings.blobs, settings.blob_seconds)
    derived = Derived(
        Levels(metadata, blobs, settings.level_bytes),
        Variants(metadata, blobs, settings.variant_bytes),
        Precomputed(metadata),
        Jobs(metadata),
        Looks(metadata),
    )
    audit = AuditTrail(metadata, settings.audit_entries)
    purger = Purger(metadata, caches, None)
    events = Events(metadata, lambda _: {})
    usage = Usage(metadata)
    return Library(metadata, blobs, Validator(settings), purger, audit, derived=derived, usage=usage, events=events)


def _complain(error: Exception, code: int) -> int:
    for line in str(error).splitlines():
        print(f"imgsvc: {line}", file=sys.stderr)
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and sweep. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage_service.sweep")
    add_options(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    leave(main())
