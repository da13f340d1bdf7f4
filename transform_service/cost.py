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
_SHRINKS_FROM = {"jpeg": 4.0, "webp": 1.0}
"""The least factor at which the decoder scales (libvips leaves JPEG a factor of 2 for its own, better filter)."""
_DEEP = 2
"""Times as much for 16 bits a band."""

# Scaling, a pixel of what is read, and treating: operations say it themselves.
_SCALED = _Rate(4, 1)
_BUFFERED = 4.0

# Encoding, a pixel of the result.
_ENCODED = {
    "jpeg": _Rate(20, 7),
    "png": _Rate(40, 1.2),
    "webp": _Rate(63, 6),
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
    size = Size(header.width, header.height)
    pixels = size.pixels * plan.frames
    decoding = _decoding(plan, header, size)
    seconds, held = decoding.nanoseconds * pixels, decoding.bytes * pixels
    if plan.frames > 1:
        held += _BUFFERED * pixels
    frame = Frame(size)
    if plan.load:
        seconds += _SCALED.nanoseconds * min(pixels, 16 * plan.load.output_size(size).pixels)
        frame = plan.load.output(frame)
        held += _SCALED.bytes * frame.size.pixels
    treating, buffers, size = _treating(plan.steps, frame, plan.frames)
    encoding = _encoding(plan, size)
    seconds += treating + encoding.nanoseconds * size.pixels * plan.frames
    held += buffers + encoding.bytes * size.pixels * plan.frames
    return Cost(_BASE_SECONDS + seconds / 1e9, _BASE_BYTES + int(held))


def _decoding(plan: Plan, header: Header, size: Size) -> _Rate:
    rate = _STREAMED[header.format]
    if header.progressive and header.format in _WHOLE:
        rate = _WHOLE[header.format]
    elif plan.load and header.format in _SHRUNK:
        target = plan.load.output_size(size)
        if min(size.width / target.width, size.height / target.height) >= _SHRINKS_FROM[header.format]:
            rate = _SHRUNK[header.format]
    deep = _DEEP if "16" in header.colour_space else 1
    return _Rate(rate.nanoseconds * deep, rate.bytes * deep)


def _treating(steps: tuple[Step, ...], frame: Frame, frames: int) -> tuple[float, float, Size]:
    """Nanoseconds, the most that two buffers after each other hold, and the size of the result."""
    nanoseconds, before, most = 0.0, 0.0, 0.0
    for step in steps:
        if step.buffered:
            buffer = _BUFFERED * frame.size.pixels
            most, before = max(most, before + buffer), buffer
        after = step.operation.output(frame)
        nanoseconds += step.operation.nanoseconds() * max(frame.size.pixels, after.size.pixels) * frames
        frame = after
    return nanoseconds, most * (1 if frames == 1 else 2), frame.size


def _encoding(plan: Plan, size: Size) -> _Rate:
    name = plan.encoding.format.name
    if name == "png" and plan.encoding.effective_quality < 100:  # noqa: PLR2004
        return _PALETTE
    if name == "jpeg" and size.pixels > _STREAMED_FROM:
        return _STREAMED_JPEG
    if size.pixels > _LARGE:
        return _ENCODED_LARGE.get(name, _ENCODED[name])
    return _ENCODED[name]
