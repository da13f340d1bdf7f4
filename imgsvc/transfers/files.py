"""Writes images into files, whole or not at all."""

import os
import secrets
from pathlib import Path

from imgsvc.terminal.failures import USAGE, Failure

_SIGNATURES = (
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"\x89PNG\r\n\x1a\n", ".png"),
    (0, b"GIF8", ".gif"),
    (8, b"WEBP", ".webp"),
    (4, b"ftyp", ".avif"),
    (0, b"II*\0", ".tif"),
    (0, b"MM\0*", ".tif"),
    (0, b"II+\0", ".tif"),
    (0, b"MM\0+", ".tif"),
)


def extension_of(content: bytes) -> str:
    """The extension of an image, by its first bytes; empty if it is none."""
    return next((end for at, sign, end in _SIGNATURES if content[at : at + len(sign)] == sign), "")


def check_target(file: Path, *, force: bool) -> None:
    """Raise Failure unless a file can be written there. `force`: it may replace another one."""
    if file.is_dir():
        raise Failure(f"{file} is a folder; name a file in it", USAGE)
    if file.exists() and not force:
        raise Failure(f"{file} exists; use another name, or --force to replace it", USAGE)
    if not file.parent.is_dir():
        raise Failure(f"the folder {file.parent} does not exist; make it first, or use another one", USAGE)


def write(file: Path, content: bytes, *, force: bool = False) -> None:
    """Write a file, which appears when it is complete."""
    check_target(file, force=force)
    partial = file.with_name(f".{file.name[:200]}.{secrets.token_hex(4)}")
    try:
        partial.write_bytes(content)
        os.replace(partial, file)  # noqa: PTH105
    except OSError as error:
        partial.unlink(missing_ok=True)
        error.filename = str(file)
        raise
