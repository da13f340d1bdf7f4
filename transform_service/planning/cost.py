"""Estimates the cost of a plan before anything is decoded: seconds of one core, and bytes of memory.

The rates of formats are in their records, those of operations in their classes. They were measured with libvips
8.18.7 on photos of 15 and 59 MP; `python -m benchmarks.costs` measures them again. Admission relies on the estimate of
memory, so it uses the worst measurement. Seconds are corrected by what renders really take (admission.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from imaging.formats import Rate
from imaging.geometry import Frame, Size
from imaging.header import Header
from transform_service.operations.base import Operation
from transform_service.planning.plan import Cost, Plan

_BASE_SECONDS, _BASE_BYTES = 0.002, 14 * 1024**2
"""The bytes include the tables of a colour conversion."""
_RGB_BYTES = 3
"""Rates of readers are those of 8-bit RGB."""
_ROWS_HELD, _LEAST_ROWS_HELD, _COPIES_OF_ROWS = 1200, 300, 2
"""libvips streams rows through caches and buffers, each for several dozen rows. Measured with images of 300 x 32768 to
32768 x 16 pixels: up to 1,120 rows together, 2 of each in a lower image, and 250 in one of 16 rows."""
_FLOAT_ROWS, _FLOAT_BYTES = 480, 16
"""Premultiplied colours are in floating point while they are scaled."""
_SCALED = Rate(4, 1)
"""The cost of scaling one pixel."""
_READ_FOR_ONE = 16
"""At most this many pixels are scaled for one pixel of the result. The decoder or a box filter skips the rest."""
_GAIN_MAP, _COPIES_OF_RESULT = Rate(25, 12), 3
"""A gain map is decoded as a whole, and scaled. The result is written into memory, and joined with its map."""
_NOTHING = Rate(0, 0)
_BUFFERED = 4.0
"""Bytes of a buffered pixel."""
_OVERLAID = 12.0
"""Bytes of a pixel of an overlay: scaled, turned, and with its opacity."""


def estimate(plan: Plan) -> Cost:
    """The cost of rendering `plan`."""
    header = plan.header
    stored = Frame(header.size, header.alpha)
    decoding = _reading(header, decoder_shrink(plan))
    nanoseconds, held, frame = _loading(plan, stored)
    processing, buffers, frame = _processing(plan, frame)
    pixels = frame.size.pixels
    encoding = _NOTHING if plan.verify else plan.encoding.format.encoder.rate(pixels, plan.encoding.effective_quality)
    nanoseconds += decoding.nanoseconds * stored.size.pixels + processing + encoding.nanoseconds * pixels
    held += decoding.bytes * stored.size.pixels + buffers + encoding.bytes * pixels
    if frame.alpha and not plan.verify:
        held += plan.encoding.format.encoder.alpha_bytes * pixels
    held += header.held_bytes + _decoded(header, decoder_shrink(plan))
    held += _rows(frame.size, _BUFFERED)
    if stored.alpha and plan.load:
        held += stored.size.width * min(_FLOAT_ROWS, stored.size.height) * _FLOAT_BYTES
    if plan.gain_map:
        nanoseconds += _GAIN_MAP.nanoseconds * header.gain_map_pixels
        held += _GAIN_MAP.bytes * header.gain_map_pixels + _COPIES_OF_RESULT * pixels
    if plan.frames > 1 and not plan.verify:  # frames are rendered one after the other, but all results are kept
        held += _BUFFERED * (pixels + _compared(plan, stored)) * plan.frames
    return Cost(_BASE_SECONDS + nanoseconds * plan.frames / 1e9, _BASE_BYTES + int(held))


def _compared(plan: Plan, frame: Frame) -> int:
    """The pixels of one frame, before all steps that are decided from the pixels of all frames."""
    compared = 0
    for operation in plan.operations:
        compared += frame.size.pixels if operation.decides() else 0
        frame = operation.output(frame)
    return compared


def _decoded(header: Header, shrink: float) -> float:
    """The bytes of decoded pixels that are held at once: all of them, or the rows that stream."""
    size = header.size.shrunk(shrink)
    streamed = _rows(size, header.pixel_bytes)
    whole = header.size.pixels / shrink**2 if header.image_format.reader.at_once(header, shrink) else 0
    return max(streamed, whole * header.pixel_bytes)


def _rows(size: Size, pixel_bytes: float) -> float:
    """The bytes of the rows that are held while pixels stream."""
    return size.width * min(_ROWS_HELD, _LEAST_ROWS_HELD + _COPIES_OF_ROWS * size.height) * pixel_bytes


def decoder_shrink(plan: Plan) -> float:
    """How many times smaller the decoder makes each side while it reads; 1 if it does not shrink."""
    if plan.load is None or plan.level:
        return 1.0
    return plan.header.image_format.reader.shrink(plan.header, plan.load.output_size(plan.header.size))


def _loading(plan: Plan, stored: Frame) -> tuple[float, float, Frame]:
    """Nanoseconds and bytes for scaling what the decoder delivers, and the frame afterwards."""
    if plan.load is None:
        return 0.0, 0.0, stored
    frame = plan.load.output(stored)
    read = min(stored.size.pixels, _READ_FOR_ONE * frame.size.pixels)
    return _SCALED.nanoseconds * read, _SCALED.bytes * frame.size.pixels, frame


def _reading(header: Header, shrink: float) -> Rate:
    """The cost of one pixel of the file, if its decoder makes each side `shrink` times smaller."""
    reader = header.image_format.reader
    rate = reader.rate
    if header.progressive and reader.interlaced_rate:
        rate = reader.interlaced_rate
    elif (shrunk := reader.shrunk_rate) and shrink > 1:
        delivered = 1 / shrink**2
        rate = Rate(
            shrunk.nanoseconds + delivered * (rate.nanoseconds - shrunk.nanoseconds),
            shrunk.bytes + delivered * (rate.bytes - shrunk.bytes),
        )
    return Rate(rate.nanoseconds * header.sample_bytes, rate.bytes * header.pixel_bytes / _RGB_BYTES)


def _processing(plan: Plan, frame: Frame) -> tuple[float, float, Frame]:
    """Nanoseconds for one frame, the most bytes of two successive buffers, with overlays, and the frame afterwards."""
    nanoseconds, before, most, laid, decoded = 0.0, 0.0, 0.0, 0.0, 0.0
    pixel_bytes = max(_BUFFERED, plan.header.bands)
    for step in plan.steps:
        if step.buffered:
            buffer = pixel_bytes * frame.size.pixels
            most, before = max(most, before + buffer), buffer
        for overlay in _overlays(plan, step.operation, frame.size):
            nanoseconds += overlay.nanoseconds
            laid += overlay.held
            decoded = max(decoded, overlay.decoded)
        after = step.operation.output(frame)
        nanoseconds += step.operation.nanoseconds() * max(frame.size.pixels, after.size.pixels)
        frame = after
    return nanoseconds, most + laid + decoded, frame


@dataclass(frozen=True, slots=True)
class _Overlay:
    """The cost of an overlay. One is decoded after the other, then its pixels are held until the result is written."""

    nanoseconds: float
    held: float
    decoded: float


def _overlays(plan: Plan, operation: Operation, size: Size) -> Iterator[_Overlay]:
    """The overlays of an operation on an image of `size`, as far as their headers are known."""
    for header in (plan.overlay_headers[each] for each in operation.overlays() if each in plan.overlay_headers):
        upright = header.upright_size
        target = operation.overlay_size(upright, size)
        shrink = header.image_format.reader.shrink(header, target.swapped() if upright != header.size else target)
        rate = _reading(header, shrink)
        pixels = header.size.pixels
        scaled = max(target.pixels, min(pixels, _READ_FOR_ONE * target.pixels))
        yield _Overlay(
            rate.nanoseconds * pixels + _SCALED.nanoseconds * scaled,
            _OVERLAID * target.pixels,
            rate.bytes * pixels + header.held_bytes + _decoded(header, shrink),
        )
