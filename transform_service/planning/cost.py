"""Estimates the cost of a plan before anything is decoded: seconds of one core, and bytes of memory.

The rates of formats are in their records, those of operations in their classes. They were measured with libvips
8.18.7 on photos of 15 and 59 MP; `python -m benchmarks.costs` measures them again. Admission relies on the estimate of
memory, so it uses the worst measurement. Seconds are corrected by what renders really take (admission.py).
"""

from imaging.formats import Rate
from imaging.geometry import Frame
from imaging.scaling import shrink_factor
from transform_service.planning.plan import Cost, Plan, Step

_BASE_SECONDS, _BASE_BYTES = 0.002, 8 * 1024**2
_DEEP = 2
"""Factor for 16 bits per band."""
_SCALED = Rate(4, 1)
"""The cost of scaling one pixel."""
_READ_FOR_ONE = 16
"""At most this many pixels are scaled for one pixel of the result. The decoder or a box filter skips the rest."""
_BUFFERED = 4.0
"""Bytes of a buffered pixel."""


def estimate(plan: Plan) -> Cost:
    """The cost of rendering `plan`."""
    stored = Frame(plan.header.size)
    decoding = _decoding(plan)
    nanoseconds, held, frame = _loading(plan, stored)
    processing, buffers, frame = _processing(plan.steps, frame)
    pixels = frame.size.pixels
    encoding = plan.encoding.format.encoder.rate(pixels, plan.encoding.effective_quality)
    nanoseconds += decoding.nanoseconds * stored.size.pixels + processing + encoding.nanoseconds * pixels
    held += decoding.bytes * stored.size.pixels + buffers + encoding.bytes * pixels
    if plan.frames > 1:  # frames are rendered one after the other, but all results are kept
        held += _BUFFERED * pixels * plan.frames
    return Cost(_BASE_SECONDS + nanoseconds * plan.frames / 1e9, _BASE_BYTES + int(held))


def decoder_shrink(plan: Plan) -> float:
    """How many times smaller the decoder makes each side while it reads; 1 if it does not shrink."""
    if plan.load is None:
        return 1.0
    size = plan.header.size
    return plan.header.image_format.reader.shrink(shrink_factor(size, plan.load.output_size(size)))


def _loading(plan: Plan, stored: Frame) -> tuple[float, float, Frame]:
    """Nanoseconds and bytes for scaling what the decoder delivers, and the frame afterwards."""
    if plan.load is None:
        return 0.0, 0.0, stored
    frame = plan.load.output(stored)
    read = min(stored.size.pixels, _READ_FOR_ONE * frame.size.pixels)
    return _SCALED.nanoseconds * read, _SCALED.bytes * frame.size.pixels, frame


def _decoding(plan: Plan) -> Rate:
    reader = plan.header.image_format.reader
    rate = reader.rate
    if plan.header.progressive and reader.interlaced_rate:
        rate = reader.interlaced_rate
    elif reader.shrunk_rate and decoder_shrink(plan) > 1:
        rate = reader.shrunk_rate
    deep = _DEEP if "16" in plan.header.colour_space else 1
    return Rate(rate.nanoseconds * deep, rate.bytes * deep)


def _processing(steps: tuple[Step, ...], frame: Frame) -> tuple[float, float, Frame]:
    """Nanoseconds for one frame, the most bytes of two successive buffers, and the frame afterwards."""
    nanoseconds, before, most = 0.0, 0.0, 0.0
    for step in steps:
        if step.buffered:
            buffer = _BUFFERED * frame.size.pixels
            most, before = max(most, before + buffer), buffer
        after = step.operation.output(frame)
        nanoseconds += step.operation.nanoseconds() * max(frame.size.pixels, after.size.pixels)
        frame = after
    return nanoseconds, most, frame
