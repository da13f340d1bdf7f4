"""Test images: real photos from public packages, and odd or hostile files made here."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pyvips

from measuring.photos import WALLPAPERS

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif"}


def wallpapers() -> list[Path]:
    """The photos and drawings of Debian's plasma-workspace-wallpapers, each file once."""
    found = {path.resolve() for path in WALLPAPERS.rglob("*") if path.suffix in SUFFIXES and path.is_file()}
    return sorted(found)


def science_photos() -> list[Path]:
    """The photos in scikit-image's wheel (its .tif files hold floating-point arrays, which libvips cannot read)."""
    import skimage  # noqa: PLC0415  # only for its files

    folder = Path(skimage.__file__).parent / "data"
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES - {".tif"})


def gradient(width: int, height: int, bands: int = 3) -> pyvips.Image:
    """An image in which every pixel shows its position."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), (x + y) % 256, np.full_like(x, 200)]
    return pyvips.Image.new_from_array(
        np.dstack(planes[:bands]).astype(np.uint8), interpretation="srgb" if bands > 2 else "b-w"
    )


def noise(width: int, height: int) -> pyvips.Image:
    """An image that no encoder compresses well."""
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return pyvips.Image.new_from_array(pixels, interpretation="srgb")


def jpeg(width: int = 64, height: int = 48, **options: object) -> bytes:
    return bytes(gradient(width, height).jpegsave_buffer(**options))


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header promises pixels that it does not have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(4096))), (b"IEND", b"")]
    return PNG_HEAD + b"".join(chunk(name, body) for name, body in chunks)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def text_bomb(kind: bytes) -> bytes:
    """A small PNG whose text decompresses to 60 MB."""
    packed = zlib.compress(b"a" * 6_000_000, 9)
    text = b"k\0\0" + packed if kind == b"zTXt" else b"k\0\1\0\0\0" + packed
    plain = bytes(gradient(8, 8).pngsave_buffer())
    header_end = 8 + 4 + 4 + 13 + 4
    return plain[:header_end] + chunk(kind, text) * 10 + plain[header_end:]


def animation(frames: int, width: int = 16, height: int = 12, suffix: str = ".gif") -> bytes:
    """Frames of 100 ms in different greys, each with a red dot in a different place."""
    pages = [(pyvips.Image.black(width, height, bands=3) + 255 * n // frames).cast("uchar") for n in range(frames)]
    pages = [page.draw_rect([255.0, 0.0, 0.0], n % width, n // width, 1, 1) for n, page in enumerate(pages)]
    roll = pyvips.Image.arrayjoin(pages, across=1).copy(interpretation="srgb")
    roll.set_type(pyvips.GValue.gint_type, "page-height", height)
    roll.set_type(pyvips.GValue.array_int_type, "delay", [100] * frames)
    return bytes(roll.write_to_buffer(suffix, **({"reuse": False} if suffix == ".gif" else {"lossless": True})))


def of_size(size: int) -> bytes:
    """A decodable JPEG of exactly `size` bytes: zeros follow its end, where decoders stop."""
    start = jpeg()
    return start + bytes(size - len(start))


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="9" height="9"/></svg>'


def blurred(image: pyvips.Image, sigma: float) -> pyvips.Image:
    """An 8-bit image, blurred in floating point: libvips' whole numbers are up to 2 % too dark or too bright."""
    return image.gaussblur(sigma, precision="float").rint().cast("uchar")


def pixels(image: pyvips.Image) -> np.ndarray:
    """The pixels as an array of height x width x 3: sRGB from 0 to 255, transparency flattened onto white."""
    image = image.colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=[255.0, 255.0, 255.0])
    return image.cast("uchar").numpy()[:, :, :3].astype(np.int16)


def decode(body: bytes) -> pyvips.Image:
    return pyvips.Image.new_from_buffer(body, "", fail_on="error")
