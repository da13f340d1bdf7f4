"""libvips as the services use it: locked down, single-threaded, uncached."""

import ctypes
import errno
import logging
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from typing import Any, BinaryIO

from imaging.formats import FORMATS, Format
from service_kit.errors import MemoryExceeded, UnprocessableImage
from service_kit.processes.worker import end_out_of_memory

os.environ["VIPS_BLOCK_UNTRUSTED"] = "1"  # libvips reads it when it starts, so set it before the import
os.environ["VIPS_DISC_THRESHOLD"] = "1000000g"  # never a temporary file, which the sandbox would refuse
os.environ["VIPS_CONCURRENCY"] = "1"  # throughput comes from parallel requests, flat memory from few threads

import pyvips
from pyvips.voperation import Introspect

__all__ = [
    "decoding",
    "enabled_loaders",
    "load",
    "lock_down",
    "mapped",
    "pyvips",
    "release_memory",
    "target",
]

_OPERATION_BLOCKED = 1 << 5  # VIPS_OPERATION_BLOCKED
_M_ARENA_MAX = -8  # malloc.h
_MOST_MESSAGES, _MESSAGE_LENGTH = 1000, 200
_FATAL = 1 << 1 | 1 << 2  # G_LOG_FLAG_FATAL, G_LOG_LEVEL_ERROR
_NO_MEMORY = re.compile(
    r"out of memory|insufficient memory|memory allocation|allocating \d+ bytes failed|failed to allocate \d",
    re.IGNORECASE,
)
"""What libvips and the decoders say when they cannot get memory. libtiff says something similar of wrong sizes."""
_libc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def _text(pointer: Any) -> str:
    """A string of libvips. It may be any bytes: errors quote files, and names of metadata come from them."""
    return "NULL" if pointer == pyvips.ffi.NULL else pyvips.ffi.string(pointer).decode(errors="replace")


for _name, _module in list(sys.modules.items()):  # pyvips itself would raise UnicodeDecodeError
    if _name.split(".")[0] == "pyvips" and hasattr(_module, "_to_string"):
        _module._to_string = _text  # type: ignore[attr-defined]  # noqa: SLF001


def mapped(file: BinaryIO) -> mmap:
    """The contents of an open file, which must not be empty."""
    return mmap(file.fileno(), 0, access=ACCESS_READ)


def load(data: bytes | mmap, loader: str, **options: object) -> pyvips.Image:
    """Open an encoded image with a loader such as `jpegload`, to be read once from top to bottom.

    Broken data raises pyvips.Error when its pixels are read. The loader takes the `options`.
    """
    source = pyvips.Source.new_from_memory(memoryview(data))
    image: pyvips.Image = pyvips.Operation.call(f"{loader}_source", source, access="sequential", **options)
    image._references.append(source)  # noqa: SLF001  # as new_from_source does: the bytes live as long as the image
    return image


def target(file: BinaryIO) -> pyvips.Target:
    """Where a saver writes: a new, open file."""
    return pyvips.Target.new_to_descriptor(file.fileno())


def lock_down() -> None:
    """Allow only the loaders of FORMATS, and keep nothing between requests.

    Raises RuntimeError if any other loader of this libvips build is still enabled: a service that can decode
    unexpected formats must not start.
    """
    readers = [fmt.reader for fmt in FORMATS.values()]
    pyvips.operation_block_set("VipsForeignLoad", True)
    for reader in readers:
        pyvips.operation_block_set("VipsForeignLoad" + reader.loader_class, False)
        if reader.gain_map_loader_class:
            pyvips.operation_block_set("VipsForeignLoad" + reader.gain_map_loader_class, False)
    pyvips.cache_set_max(0)
    if _libc:
        _libc.mallopt(_M_ARENA_MAX, 1)
    _end_without_memory()
    expected = {name for reader in readers for name in (reader.loader, reader.gain_map_loader) if name}
    enabled = enabled_loaders()
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


def release_memory() -> None:
    """Return freed memory to the system, which glibc would keep for the next large image.

    After a 15 MP conversion, 180 to 285 MiB stayed resident. With one arena and this function, it is 45 to 49 MiB. It
    takes up to 7 ms, and the next image takes as long again to get its memory back: 3 to 8 % of a PNG thumbnail.
    """
    if _libc:
        _libc.malloc_trim(0)


@pyvips.ffi.callback("GLogFunc")  # type: ignore[untyped-decorator]
def _on_fatal_error(_domain: object, _level: int, _message: object, _data: object) -> None:
    end_out_of_memory()


def _end_without_memory() -> None:
    """Let GLib's failed allocations, the only errors that it ends a process for, end it as such."""
    pyvips.glib_lib.g_log_set_handler(b"GLib", _FATAL, _on_fatal_error, pyvips.ffi.NULL)


class _Messages(logging.Handler):
    """Collects libvips' warnings, which pyvips logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the start of a message."""
        self.keep(record.getMessage())

    def keep_dropped(self, record: logging.LogRecord) -> bool:
        """Keep what pyvips clears whenever it looks up a method of an image, and logs for debugging."""
        _, detail = record.args  # type: ignore[misc]
        for text in str(detail).splitlines():
            self.keep(text)
        return False

    def keep(self, text: str) -> None:
        """Keep the start of a text."""
        if len(self.texts) < _MOST_MESSAGES:
            self.texts.append(text[:_MESSAGE_LENGTH])


@contextmanager
def _collected() -> Iterator[_Messages]:
    """Collect messages, and hide them from the same context around this one."""
    messages, logger, dropped = _Messages(), logging.getLogger("pyvips"), logging.getLogger("pyvips.error")
    handlers, filters, level = logger.handlers[:], dropped.filters[:], dropped.level
    logger.handlers[:] = [each for each in handlers if not isinstance(each, _Messages)] + [messages]
    dropped.filters[:] = [messages.keep_dropped]
    dropped.setLevel(logging.DEBUG)
    pyvips.vips_lib.vips_error_clear()  # otherwise the reason would be a warning about the previous image
    try:
        yield messages
    finally:
        logger.handlers[:], dropped.filters[:] = handlers, filters
        dropped.setLevel(level)
        pyvips.vips_lib.vips_error_clear()


@contextmanager
def decoding(what: str, *formats: Format) -> Iterator[None]:
    """Turn libvips' errors about broken data into UnprocessableImage, with the reason but without paths.

    The same happens if libvips only warned about damage, as its decoders of some `formats` do. A full disk, which
    libvips reports only as text, becomes an OSError again. What happens inside is hidden from a context around it.
    """
    with _collected() as messages:
        try:
            yield
            buffer = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode(errors="replace")
            texts = [*messages.texts, *buffer.splitlines()]
            # An operation can succeed after an error in one of its threads, with pixels missing (seen without memory).
            if any(_NO_MEMORY.search(text) for text in texts):
                raise MemoryExceeded
            if any(fmt.reader.damaged(texts) for fmt in formats):
                raise UnprocessableImage(f"{what} is corrupt or truncated: parts of the picture are missing")
        except pyvips.Error as error:
            errors = error.detail.strip() or error.message
            if os.strerror(errno.ENOSPC) in errors:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            if _NO_MEMORY.search(errors):
                raise MemoryExceeded from error
            lines = errors.splitlines()
            # Decoders look for the end of a file first, and find it by trial.
            reason = next((line for line in lines if not line.startswith("source: bad seek")), lines[0])
            if "/" in reason:
                reason = "the decoder gave up"
            raise UnprocessableImage(f"{what} is corrupt, truncated or of an unsupported kind: {reason}") from None
