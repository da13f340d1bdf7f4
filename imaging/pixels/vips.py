"""libvips as the services use it: locked down, single-threaded, uncached."""

import ctypes
import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imaging.formats import FORMATS
from service_kit.errors import UnprocessableImage

os.environ["VIPS_BLOCK_UNTRUSTED"] = "1"  # libvips reads it when it starts, so set it before the import
os.environ["VIPS_CONCURRENCY"] = "1"  # throughput comes from parallel requests, flat memory from few threads

import pyvips
from pyvips.voperation import Introspect

__all__ = ["decoding", "enabled_loaders", "load", "lock_down", "pyvips", "release_memory", "resident_bytes"]

_OPERATION_BLOCKED = 1 << 5  # VIPS_OPERATION_BLOCKED
_M_ARENA_MAX = -8  # malloc.h
_PAGE = os.sysconf("SC_PAGE_SIZE")
_libc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def load(path: Path, loader: str, **options: object) -> pyvips.Image:
    """Open the image at `path` with a loader such as `jpegload`, to be read once from top to bottom.

    Broken data raises pyvips.Error when its pixels are read. The loader takes the `options`.
    """
    image: pyvips.Image = pyvips.Operation.call(loader, os.fspath(path), access="sequential", **options)
    return image


def lock_down() -> None:
    """Allow only the loaders of FORMATS, and keep nothing between requests.

    Raises RuntimeError if any other loader of this libvips build is still enabled: a service that can decode
    unexpected formats must not start.
    """
    readers = [fmt.reader for fmt in FORMATS.values()]
    pyvips.operation_block_set("VipsForeignLoad", True)
    for reader in readers:
        pyvips.operation_block_set("VipsForeignLoad" + reader.loader_class, False)
    pyvips.cache_set_max(0)
    if _libc:
        _libc.mallopt(_M_ARENA_MAX, 1)
    enabled, expected = enabled_loaders(), {reader.loader for reader in readers}
    if enabled != expected:
        raise RuntimeError(f"libvips offers the loaders {sorted(enabled)}, expected {sorted(expected)}")


def enabled_loaders() -> set[str]:
    """The file loaders that libvips would use now."""
    names: list[str] = []

    def visit(gtype: int, *_: object) -> Any:
        names.append(pyvips.nickname_find(gtype))
        pyvips.type_map(gtype, visit)
        return pyvips.ffi.NULL

    pyvips.type_map(pyvips.type_from_name("VipsForeignLoad"), visit)
    files = [name for name in names if not name.endswith(("_base", "_buffer", "_source"))]
    return {name for name in files if not Introspect.get(name).flags & _OPERATION_BLOCKED}


def resident_bytes() -> int:
    """The resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE if _libc else 0


def release_memory() -> None:
    """Return freed memory to the system, which glibc would keep for the next large image.

    After a 15 MP conversion, 180 to 285 MiB stayed resident. With one arena and this function, it is 45 to 49 MiB. It
    takes up to 7 ms, and the next image takes as long again to get its memory back: 3 to 8 % of a PNG thumbnail.
    """
    if _libc:
        _libc.malloc_trim(0)


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn libvips' errors about broken data into UnprocessableImage, with the reason but without paths.

    A full disk, which libvips reports only as text, becomes an OSError again.
    """
    pyvips.vips_lib.vips_error_clear()  # otherwise the reason would be a warning about the previous image
    try:
        yield
    except pyvips.Error as error:
        if os.strerror(errno.ENOSPC) in error.detail:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        reason = (error.detail.strip().splitlines() or [error.message])[0]
        if "/" in reason:
            reason = "the decoder gave up"
        raise UnprocessableImage(f"{what} is corrupt, truncated or of an unsupported kind: {reason}") from None
