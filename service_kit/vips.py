"""libvips as the services use it: locked down, single-threaded, uncached; and reading image headers with it.

Imported in worker processes only: a decoder can crash, hang or bloat, and must take nothing with it.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service_kit import frames, png
from service_kit.errors import UnprocessableImage, UnsupportedImage
from service_kit.formats import FORMATS, SNIFF_BYTES, sniff
from service_kit.images import Header

os.environ["VIPS_BLOCK_UNTRUSTED"] = "1"  # read when libvips starts, so set before the import
os.environ["VIPS_CONCURRENCY"] = "1"  # throughput comes from parallel requests, flat memory from few threads

import pyvips
from pyvips.voperation import Introspect

__all__ = [
    "LOADERS",
    "decoding",
    "enabled_loaders",
    "load",
    "lock_down",
    "pyvips",
    "read_header",
    "release_memory",
    "resident_bytes",
]

LOADERS = {
    "jpeg": "jpegload",
    "png": "pngload",
    "webp": "webpload",
    "avif": "heifload",
    "gif": "gifload",
    "tiff": "tiffload",
}
"""The loader of each format: exactly these may decode."""

_LOADER_CLASSES = ("Jpeg", "Png", "Webp", "Heif", "Nsgif", "Tiff")
_OPERATION_BLOCKED = 1 << 5  # VIPS_OPERATION_BLOCKED
_MAX_TEXT_BYTES = 8 * 1024**2
_M_ARENA_MAX = -8  # malloc.h
_PAGE = os.sysconf("SC_PAGE_SIZE")
_libc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def load(path: Path, fmt: str, **options: float) -> pyvips.Image:
    """The image at `path`, of a known format (a key of LOADERS), to be read once from top to bottom.

    What is broken in it fails when its pixels are asked for. `options` are the loader's own.
    """
    image: pyvips.Image = pyvips.Operation.call(
        LOADERS[fmt], os.fspath(path), access="sequential", fail_on="error", **options
    )
    return image


def lock_down() -> None:
    """Allow the loaders of LOADERS alone, and keep nothing between requests.

    Raises RuntimeError if any other loader of this libvips build is still on: a service that can
    decode what nobody expects must not start.
    """
    pyvips.operation_block_set("VipsForeignLoad", True)
    for name in _LOADER_CLASSES:
        pyvips.operation_block_set("VipsForeignLoad" + name, False)
    pyvips.cache_set_max(0)
    if _libc:
        _libc.mallopt(_M_ARENA_MAX, 1)
    enabled = enabled_loaders()
    if enabled != set(LOADERS.values()):
        raise RuntimeError(f"libvips offers the loaders {sorted(enabled)}, expected {sorted(LOADERS.values())}")


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
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE if _libc else 0


def release_memory() -> None:
    """Give freed memory back to the system, where glibc would keep it for the next large image.

    A 15 MP conversion left 180 to 285 MiB resident, with one arena and this 45 to 49. It takes up to 7 ms, and the next
    image as long again to get its memory back: 3 to 8 % of a PNG thumbnail.
    """
    if _libc:
        _libc.malloc_trim(0)


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn what libvips says of broken data into UnprocessableImage, with the reason and without its paths.

    A full disk, which libvips tells in words, becomes the OSError that it is.
    """
    pyvips.vips_lib.vips_error_clear()  # else the warnings of the image before are the reason
    try:
        yield
    except pyvips.Error as error:
        if os.strerror(errno.ENOSPC) in error.detail:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        reason = (error.detail.strip().splitlines() or [error.message])[0]
        if "/" in reason:
            reason = "the decoder gave up"
        raise UnprocessableImage(
            f"{what} is corrupt, truncated or of a kind that cannot be decoded: {reason}"
        ) from None


def read_header(path: Path, max_pixels: int, max_frames: int, page: int = 0) -> Header:
    """The facts in the header of the image at `path`, or of a `page` of it; no pixel is decoded.

    Raises UnsupportedImage when the bytes are of no accepted format, and UnprocessableImage when
    the header is broken or promises more than `max_pixels` (frames summed) or `max_frames`.
    """
    with path.open("rb") as file:
        fmt = sniff(file.read(SNIFF_BYTES))
    if fmt is None:
        accepted = ", ".join(FORMATS)
        raise UnsupportedImage(f"the bytes are no image of an accepted format ({accepted}), whatever their name says")
    if fmt.name == "png":
        png.check_text(path, _MAX_TEXT_BYTES)
    if fmt.name in frames.COUNTED:
        frames.check_frames(path, fmt.name, max_frames)
    with decoding("the image"):
        options = {"page": page} if page else {}
        image = pyvips.Operation.call(LOADERS[fmt.name], os.fspath(path), access="sequential", **options)
        header = _header(fmt.name, image)
    _check_limits(header, max_pixels, max_frames)
    return header


def _header(fmt: str, image: Any) -> Header:
    orientation = _integer(image, "orientation", 1)
    return Header(
        format=fmt,
        width=image.width,
        height=image.height,
        frames=max(1, _integer(image, "n-pages", 1)),
        orientation=orientation if 1 <= orientation <= 8 else 1,  # noqa: PLR2004
        colour_space=image.interpretation,
        alpha=image.hasalpha(),
        progressive=bool(_integer(image, "interlaced", 0)),
    )


def _check_limits(header: Header, max_pixels: int, max_frames: int) -> None:
    if header.frames > max_frames:
        raise UnprocessableImage(f"the image has more than {max_frames} frames, the most that is allowed")
    pixels = header.width * header.height * header.frames
    if pixels > max_pixels:
        size = f"{header.width} x {header.height}" + (f" x {header.frames} frames" if header.frames > 1 else "")
        raise UnprocessableImage(f"the image has {pixels} pixels ({size}), {max_pixels} are allowed")


def _integer(image: Any, name: str, default: int) -> int:
    return int(image.get(name)) if image.get_typeof(name) else default
