"""Renders a file as users get it, compares it with the reference, and says which of three things came of it."""

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from PIL import Image

from imaging.formats import FORMATS, InputLimits
from imaging.header import Header
from service_kit.errors import ServiceError
from tests.fidelity.corpus.reference import MOST_FRAMES, eight_bits, reference
from tests.fidelity.rendering import LIMITS
from tests.files import header_of, render_file
from transform_service.chain import parse
from transform_service.planning.planner import plan

_UPLOAD = InputLimits(100_000_000, 100)
_THUMB = 64
_LEAST_THUMBED = 16
_LARGEST, _MEAN = 2.0, 1.0
"""Differences within which pixels agree: one level, or two where a profile or 16 bits are converted."""
_AVIF_MEAN = 2.5
"""For AVIF: libheif and libavif interpolate halved chroma differently, which shows at edges."""
_COARSE_MEAN = 1.5
"""For thumbnails, of the means of 8 x 8 areas: filters differ, but not in the light that they let through."""
_EDGE = 32
"""Of a thumbnail with sides of this length, as much again: it may lack half a pixel at its edges, to keep the ratio."""


class Kind(StrEnum):
    """What came of a file."""

    AGREES = "agrees"
    REFUSED = "refused"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Verdict:
    """What came of a file."""

    kind: Kind
    detail: str = ""
    """Why it was refused, or how it differs."""


def judge(body: bytes) -> Verdict:
    """Render a file and compare it with the reference."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.write_bytes(body)
        if not body:
            return Verdict(Kind.REFUSED, "the file is empty")
        try:
            header = header_of(source, _UPLOAD)
        except ServiceError as error:
            return Verdict(Kind.REFUSED, str(error))
        try:
            found = [
                (query, output, _frames(_render(source, header, query, output))) for query, output in _variants(header)
            ]
        except ServiceError as error:
            return Verdict(Kind.REFUSED, f"after the upload: {error}")
    try:
        frames = reference(body).frames
    except Exception as error:  # noqa: BLE001  # decoders raise anything
        return Verdict(Kind.DIFFERENT, f"no reference: {type(error).__name__}")
    try:
        for query, output, pixels in found:
            _compare(pixels, frames if output == "webp" else frames[:1], query, header.format)
    except _Differs as difference:
        return Verdict(Kind.DIFFERENT, str(difference))
    return Verdict(Kind.AGREES)


class _Differs(Exception):
    """The text says how."""


def _variants(header: Header) -> Iterator[tuple[str, str]]:
    """Queries and output formats: as it is, decoded if that would be a copy, as a thumbnail, with all frames."""
    yield ("rotate=0" if header.format == "png" else ""), "png"
    if header.format == "png":
        yield "flip", "png"
    if header.size.longer >= _LEAST_THUMBED:
        yield f"thumb={min(_THUMB, header.size.longer // 2)}", "png"
    if header.frames > 1 and header.image_format.animated:
        yield "compress=100", "webp"


def _render(source: Path, header: Header, query: str, output: str) -> bytes:
    target = source.parent / "target"
    target.unlink(missing_ok=True)
    made = plan(parse(query, max_operations=20).operations, FORMATS[output], header, "", LIMITS).plan
    assert made
    render_file(source, made, target)
    return target.read_bytes()


def _frames(body: bytes) -> list[np.ndarray]:
    image = Image.open(io.BytesIO(body))
    found = []
    for number in range(min(getattr(image, "n_frames", 1), MOST_FRAMES)):
        image.seek(number)
        image.load()
        found.append(_premultiplied(np.asarray(eight_bits(image, body).convert("RGBA"))))
    return found


def _compare(found: list[np.ndarray], frames: list[np.ndarray], query: str, source: str) -> None:
    """Raise _Differs, with the largest and the mean difference of premultiplied values."""
    found, wanted = _distinct(found), _distinct([_premultiplied(frame) for frame in frames])
    if min(len(found), MOST_FRAMES - 1) > len(wanted) or min(len(wanted), MOST_FRAMES - 1) > len(found):
        raise _Differs(f"{len(found)} frames instead of {len(wanted)}")
    for one, other in zip(found, wanted, strict=False):
        thumb = query.startswith("thumb=")
        expected = other[::-1] if query == "flip" else other
        if one.shape != expected.shape and not thumb:
            raise _Differs(f"{one.shape[1]} x {one.shape[0]} instead of {other.shape[1]} x {other.shape[0]}")
        if thumb:
            size = _fitted(other.shape[1], other.shape[0], int(query.removeprefix("thumb=")))
            if abs(one.shape[1] - size[0]) > 1 or abs(one.shape[0] - size[1]) > 1:
                raise _Differs(f"{query} is {one.shape[1]} x {one.shape[0]} instead of {size[0]} x {size[1]}")
            areas = (min(8, one.shape[0]), min(8, one.shape[1]))
            scaled = np.clip(_resized(expected, one.shape, Image.Resampling.LANCZOS), 0, 255)
            one, expected = (_resized(each, areas, Image.Resampling.BOX) for each in (one, scaled))  # noqa: PLW2901
        difference = np.abs(one - expected)
        largest, mean = float(difference.max()), float(difference.mean())
        most = _most(found[0].shape, thumb, source)
        if mean > most or (largest > _LARGEST and not thumb and source != "avif"):
            raise _Differs(f"{query or 'unchanged'}: up to {largest:.0f}, {mean:.1f} on average")


def _most(shape: tuple[int, ...], thumb: bool, source: str) -> float:
    if thumb:
        return _COARSE_MEAN * (1 + _EDGE / min(shape[:2]))
    return _AVIF_MEAN if source == "avif" else _MEAN


def _distinct(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Without repetitions, which encoders merge."""
    return [frame for n, frame in enumerate(frames) if not n or not np.array_equal(frame, frames[n - 1])]


def _premultiplied(rgba: np.ndarray) -> np.ndarray:
    values = rgba.astype(np.float32)
    values[:, :, :3] *= values[:, :, 3:] / 255
    return values


def _fitted(width: int, height: int, side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resized(values: np.ndarray, shape: tuple[int, ...], how: Image.Resampling) -> np.ndarray:
    bands = [Image.fromarray(np.ascontiguousarray(values[:, :, band])) for band in range(4)]
    return np.dstack([np.asarray(band.resize((shape[1], shape[0]), how)) for band in bands])
