"""What commands share that run next to services and use their database, such as `imgsvc keys` and `jobs`."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from service_kit.errors import BadRequest, CannotStart, NotFound, ServiceError
from service_kit.observing.logging import configure_logging
from service_kit.settings import read_settings
from storage_service.app import access_secret, database_config
from storage_service.audit import AuditTrail
from storage_service.keyring import Keyring
from storage_service.metadata.base import MetadataStore, create_store
from storage_service.settings import StorageSettings

_DONE, _UNKNOWN, _USAGE, _FAILED = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Office:
    """What a command works with."""

    metadata: MetadataStore
    audit: AuditTrail
    keyring: Keyring
    settings: StorageSettings
    master: bytes
    """The secret in ACCESS_SECRET_FILE."""


Act = Callable[[Office, argparse.Namespace], Awaitable[int | None]]
"""What a command does. It returns its exit code; None: it is done."""


def exit_codes(others: str = "") -> str:
    """The end of a command's help. `others` is what else the code can be."""
    codes = f"exit code: 0 done; {others}2 wrong usage or settings; 3 the database does not respond."
    return f"{codes}\nThe settings are those of the storage service, such as DATA_DIR or DATABASE_URL."


def run(options: argparse.Namespace) -> int:
    """Run `options.act`, and return the exit code."""
    try:
        (settings,) = read_settings(StorageSettings)
        configure_logging("ERROR", "text")
        return asyncio.run(_run(settings, options))
    except NotFound as error:
        return _complain(error, _UNKNOWN)
    except (CannotStart, BadRequest, ValueError) as error:
        return _complain(error, _USAGE)
    except ServiceError as error:
        return _complain(error, _FAILED)


async def _run(settings: StorageSettings, options: argparse.Namespace) -> int:
    metadata = create_store(database_config(settings))
    await metadata.open(beside=True)
    audit = AuditTrail(metadata, settings.audit_entries)
    act: Act = options.act
    try:
        master = access_secret(settings)
        code = await act(Office(metadata, audit, Keyring(metadata, audit, master), settings, master), options)
        await audit.trim()
    finally:
        await metadata.close()
    return _DONE if code is None else code


def _complain(error: Exception, code: int) -> int:
    for line in str(error).splitlines():
        print(f"imgsvc: {line}", file=sys.stderr)
    return code


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows, of which the first are the headings, in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
