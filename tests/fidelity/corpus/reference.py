"""What a file should look like: decoded by Pillow or tifffile, composed and converted by this package.

Orientation is that of EXIF, as in browsers; Pillow would also take it from XMP.
"""

import io
import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import tifffile
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from tests.fidelity.corpus import colours, gif

MOST_FRAMES = 20
_MOST_PIXELS = 100_000_000
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 64 * 1024**2
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIXTEEN_BITS = re.compile("I;16.?")
_ORIENTATION = 274
_ABOUT_SRGB = range(45_000, 46_001)
"""What encoders write into gAMA for sRGB, whose curve is no power."""
_ROUNDING = 0.0015
_PHOTOMETRIC = {"MINISBLACK", "MINISWHITE", "RGB", "PALETTE"}


@dataclass(frozen=True)
class Reference:
    """Frames of height x width x RGBA."""

    frames: list[np.ndarray]
    """The first ones of an animation, or the first page of anything else."""


def reference(body: bytes) -> Reference:
    """Decode a file. Raises whatever its decoder raises if that is impossible."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(body))
            if image.width * image.height > _MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels")
            if image.format == "GIF":
                return Reference(list(gif.frames(body, MOST_FRAMES)))
            animated = image.format == "WEBP" and image.n_frames > 1
            return Reference([_upright(frame, body) for frame in (_seek(image) if animated else [image])])
        except (UnidentifiedImageError, OSError):
            if body[:4] not in {b"II*\0", b"MM\0*"}:
                raise
            return Reference([_by_tifffile(body)])


def _seek(image: Image.Image) -> Iterator[Image.Image]:
    for number in range(min(image.n_frames, MOST_FRAMES)):
        image.seek(number)
        yield image.copy()


def _upright(image: Image.Image, body: bytes) -> np.ndarray:
    image.load()
    profile = image.info.get("icc_profile")
    known = eight_bits(image, body)
    if known.mode == "CMYK":
        known = colours.from_profile(known, profile or colours.cmyk_profile())
    elif profile:
        known = colours.from_profile(known, profile)
    rgba = np.asarray(known.convert("RGBA"))
    if not profile:
        rgba = (
            _by_chunks(rgba, body)
            if image.format == "PNG"
            else _by_nclx(rgba, body)
            if image.format == "AVIF"
            else rgba
        )
    turn = _TURNS.get(_orientation(image))
    return np.asarray(Image.fromarray(rgba).transpose(turn)) if turn is not None else rgba


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return int(image.tag_v2.get(_ORIENTATION, 1))
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
    except (SyntaxError, struct.error, OSError):
        return 1
    return exif.get(_ORIENTATION, 1)


def eight_bits(image: Image.Image, body: bytes) -> Image.Image:
    """A loaded image, with alpha if the file has any, and with keys of transparency applied."""
    key = image.info.get("transparency")
    if _SIXTEEN_BITS.fullmatch(image.mode) or (image.mode == "I" and image.format == "PNG"):
        values = np.asarray(image).astype(np.uint32)
        return _with_key(values >> 8, values, key)
    if image.mode in {"L", "1"} and isinstance(key, int) and image.format == "PNG":
        values = np.asarray(image.convert("L"))
        # Pillow compares 8-bit values with the number in the file, unless that has one bit.
        return _with_key(values, values, key if image.mode == "1" else key * 255 // ((1 << body[24]) - 1))
    if image.mode == "F":
        return Image.fromarray(_from_linear(np.asarray(image)))
    if image.mode == "I":
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 24 & 255).astype(np.uint8))
    if image.mode == "La":
        grey, alpha = (np.asarray(band).astype(float) for band in image.split())
        straight = np.clip(np.divide(grey * 255, alpha, out=np.zeros_like(grey), where=alpha > 0), 0, 255)
        return Image.fromarray(np.dstack([np.rint(straight), alpha]).astype(np.uint8))
    return image.convert("RGBA") if image.mode in {"P", "PA", "RGBa"} or key is not None else image


def _with_key(eight: np.ndarray, values: np.ndarray, key: object) -> Image.Image:
    grey = Image.fromarray(eight.astype(np.uint8))
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def _from_linear(light: np.ndarray) -> np.ndarray:
    linear = np.clip(np.nan_to_num(light), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)


def _by_tifffile(body: bytes) -> np.ndarray:
    """The first page of a TIFF with kinds of samples that Pillow does not know. Raises ValueError for other layouts."""
    page = tifffile.TiffFile(io.BytesIO(body)).pages[0]
    pixels = page.asarray()
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and pixels.ndim > 2:
        pixels = np.moveaxis(pixels, 0, -1)
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        pixels = np.moveaxis(page.colormap, 0, -1)[pixels[..., 0] if pixels.ndim > 2 else pixels]
    if pixels.dtype.kind == "f":
        pixels = _from_linear(pixels)
    elif pixels.dtype.kind == "u":
        pixels = (pixels >> 8 * (pixels.dtype.itemsize - 1)).astype(np.uint8)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = 255 - pixels
    bands = {2: "L", 3: {2: "LA", 3: "RGB", 4: "RGBA"}.get(pixels.shape[-1])}.get(pixels.ndim)
    if (
        bands is None
        or pixels.dtype != np.uint8
        or page.photometric.name not in {"MINISBLACK", "MINISWHITE", "RGB", "PALETTE"}
    ):
        raise ValueError(f"{page.photometric.name} with {pixels.shape} of {page.dtype}")
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("RGBA"))


def _by_chunks(rgba: np.ndarray, body: bytes) -> np.ndarray:
    """PNG, third edition, section 4.3: sRGB comes before gAMA and cHRM."""
    chunks = dict(islice(_chunks(body), 1000))
    if b"sRGB" in chunks:
        return rgba
    exponent = struct.unpack(">I", chunks[b"gAMA"])[0] if len(chunks.get(b"gAMA", b"")) == 4 else 0
    white, primaries = colours.D65, colours.PRIMARIES[1]
    if len(chunks.get(b"cHRM", b"")) == 32:
        numbers = [value / 100_000 for value in struct.unpack(">8I", chunks[b"cHRM"])]
        if max(abs(a - b) for a, b in zip(numbers, (*white, *primaries), strict=True)) > _ROUNDING:
            white, primaries = (numbers[0], numbers[1]), tuple(numbers[2:])
    about_srgb = not exponent or (exponent in _ABOUT_SRGB and primaries == colours.PRIMARIES[1])
    if about_srgb and primaries == colours.PRIMARIES[1]:
        return rgba
    return colours.from_numbers(rgba, primaries, white, None if about_srgb else 100_000 / exponent)


def _by_nclx(rgba: np.ndarray, body: bytes) -> np.ndarray:
    """ISO 14496-12, section 12.1.5. Curves of video (BT.709) are shown like that of sRGB, as in browsers."""
    place = body.find(b"colrnclx")
    if place < 0:
        return rgba
    primaries, transfer = struct.unpack_from(">HH", body, place + 8)
    gamma = {4: 2.2, 5: 2.8, 8: 1.0}.get(transfer)
    if (gamma is None and primaries in {1, 2}) or primaries not in {*colours.PRIMARIES, 2}:
        return rgba
    return colours.from_numbers(rgba, colours.PRIMARIES[1 if primaries == 2 else primaries], colours.D65, gamma)


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position + 12 <= len(body):
        length, name = struct.unpack_from(">I4s", body, position)
        if name == b"IDAT":
            return
        yield name, body[position + 8 : position + 8 + length]
        position += 12 + length
