"""What a render will cost, from header facts and plan alone: seconds of one core, and bytes of memory.

The figures were measured with libvips 8.18.7 on photos of 15 and 59 MP; `python -m benchmarks.costs` measures them
again. Memory is what admission must hold to, so of several figures the worst stands here. Seconds are corrected by what
renders really take (admission.py).
"""

from dataclasses import dataclass

from service_kit.images import Header
from transform_service.geometry import Frame, Size
from transform_service.plan import Cost, Plan, Step

_BASE_SECONDS, _BASE_BYTES = 0.002, 8 * 1024**2


@dataclass(frozen=True, slots=True)
class _Rate:
    """What a pixel costs: nanoseconds, and bytes that are held at the same time."""

    nanoseconds: float
    bytes: float


# Decoding, a pixel of the file.
_STREAMED = {
    "jpeg": _Rate(6, 0.8),
    "png": _Rate(8, 1.2),
    "webp": _Rate(22, 8.5),
    "avif": _Rate(28, 16),
    "gif": _Rate(12, 6.5),
    "tiff": _Rate(8, 1.5),
}
_WHOLE = {"jpeg": _Rate(18, 7), "png": _Rate(20, 4.5)}
"""Progressive and interlaced: nothing is known before all is read."""
_SHRUNK = {"jpeg": _Rate(2, 0.3), "webp": _Rate(8, 4.6)}
"""With scaling in the decoder."""
_DEEP = 2
"""Times as much for 16 bits a band."""

# Scaling, a pixel of what is read, and treating: operations say it themselves.
_SCALED = _Rate(4, 1)
_READ_FOR_ONE = 16
"""Pixels that are scaled for one of the result, at most: the decoder or a box filter has left out the rest before."""
_BUFFERED = 4.0

# Encoding, a pixel of the result.
_ENCODED = {
    "jpeg": _Rate(20, 7),
    "png": _Rate(40, 1.2),
    "webp": _Rate(45, 6),
    "avif": _Rate(200, 20),
    "gif": _Rate(300, 11.5),
    "tiff": _Rate(40, 1.2),
}
_PALETTE = _Rate(135, 6)
_LARGE = 4_000_000
_ENCODED_LARGE = {"jpeg": _Rate(16, 7), "avif": _Rate(60, 20)}
_STREAMED_JPEG, _STREAMED_FROM = _Rate(6, 0.6), 16_000_000


def estimate(plan: Plan, header: Header) -> Cost:
    """The cost of rendering `plan` from an image with this header."""
    stored = Frame(Size(header.width, header.height))
    decoding = _decoding(plan, header)
    nanoseconds, held, frame = _loading(plan, stored)
    treating, buffers, frame = _treating(plan.steps, frame)
    encoding = _encoding(plan, frame.size)
    nanoseconds += decoding.nanoseconds * stored.size.pixels + treating + encoding.nanoseconds * frame.size.pixels
    held += decoding.bytes * stored.size.pixels + buffers + encoding.bytes * frame.size.pixels
    if plan.frames > 1:  # one after the other; the results of all are kept
        held += _BUFFERED * frame.size.pixels * plan.frames
    return Cost(_BASE_SECONDS + nanoseconds * plan.frames / 1e9, _BASE_BYTES + int(held))


def _loading(plan: Plan, stored: Frame) -> tuple[float, float, Frame]:
    """Nanoseconds and bytes of scaling what the decoder gives, and the result."""
    if plan.load is None:
        return 0.0, 0.0, stored
    frame = plan.load.output(stored)
    read = min(stored.size.pixels, _READ_FOR_ONE * frame.size.pixels)
    return _SCALED.nanoseconds * read, _SCALED.bytes * frame.size.pixels, frame


def decoder_shrink(plan: Plan, header: Header) -> float:
    """How many times smaller the decoder makes each side while it reads; 1 where it does not."""
    return plan.load.decoder_shrink(header.format, Size(header.width, header.height)) if plan.load else 1.0


def _decoding(plan: Plan, header: Header) -> _Rate:
    rate = _STREAMED[header.format]
    if header.progressive and header.format in _WHOLE:
        rate = _WHOLE[header.format]
    elif decoder_shrink(plan, header) > 1:
        rate = _SHRUNK[header.format]
    deep = _DEEP if "16" in header.colour_space else 1
    return _Rate(rate.nanoseconds * deep, rate.bytes * deep)


def _treating(steps: tuple[Step, ...], frame: Frame) -> tuple[float, float, Frame]:
    """Nanoseconds of one frame, the most that two buffers after each other hold, and the result."""
    nanoseconds, before, most = 0.0, 0.0, 0.0
    for step in steps:
        if step.buffered:
            buffer = _BUFFERED * frame.size.pixels
            most, before = max(most, before + buffer), buffer
        after = step.operation.output(frame)
        nanoseconds += step.operation.nanoseconds() * max(frame.size.pixels, after.size.pixels)
        frame = after
    return nanoseconds, most, frame


def _encoding(plan: Plan, size: Size) -> _Rate:
    name = plan.encoding.format.name
    if name == "png" and plan.encoding.effective_quality < 100:  # noqa: PLR2004
        return _PALETTE
    if name == "jpeg" and size.pixels > _STREAMED_FROM:
        return _STREAMED_JPEG
    if size.pixels > _LARGE:
        return _ENCODED_LARGE.get(name, _ENCODED[name])
    return _ENCODED[name]
