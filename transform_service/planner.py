"""From a chain and an image's header to a plan: steps, output, limits, key. Pure, and without libvips."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from service_kit.errors import UnprocessableImage
from service_kit.formats import Format
from service_kit.images import Header
from transform_service.encoding import Encoding
from transform_service.geometry import Size
from transform_service.operations.background import Background
from transform_service.operations.base import Operation

WHITE = Background(colour="ffffff")
_SWAPS_SIDES = 5  # EXIF orientations 5 to 8 contain a quarter turn
Steps = tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """What a plan may ask for: pixels of any step (frames summed), and of an output's longer side."""

    max_pixels: int
    max_side: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a renderer needs to know besides where the image is."""

    steps: Steps
    encoding: Encoding
    size: Size
    """Of the upright input frame."""
    frames: int
    """How many frames are decoded and written."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and the key that equal results share: source, steps, encoder."""

    plan: Plan
    key: str


def fill_corners(steps: Steps) -> Steps:
    """The background in force goes behind each step that adds transparency."""
    filled: list[Operation] = []
    background: Background | None = None
    for step in steps:
        filled.append(step)
        if isinstance(step, Background):
            background = step
        elif background and step.adds_transparency():
            filled.append(background)
    return tuple(filled)


RULES: tuple[Callable[[Steps], Steps], ...] = (fill_corners,)
"""What is done to the user's steps, in this order."""


def plan(operations: Steps, output: Format, header: Header, sha256: str, limits: OutputLimits) -> Planned:
    """Plan the rendering of an image with this header and content.

    Raises UnprocessableImage, naming the step, for a chain that would pass the limits.
    """
    steps = operations
    for rule in RULES:
        steps = rule(steps)
    if not output.alpha:
        steps = (*steps, WHITE)
    encoding = Encoding(output)
    for step in steps:
        encoding = step.encoding(encoding)
    frames = header.frames if output.animated and header.kind.animated else 1
    size = upright_size(header)
    _check_sizes(steps, size, frames, limits)
    made = Plan(steps, encoding, size, frames)
    return Planned(made, _key(sha256, made))


def upright_size(header: Header) -> Size:
    """The frame's size once its EXIF orientation is applied."""
    size = Size(header.width, header.height)
    return size.swapped() if header.orientation >= _SWAPS_SIDES else size


def _check_sizes(steps: Steps, size: Size, frames: int, limits: OutputLimits) -> None:
    maker = "the image itself"
    for step in steps:
        after = step.output_size(size)
        if after != size:
            size, maker = after, str(step)
        if size.pixels * frames > limits.max_pixels:
            raise UnprocessableImage(
                f"{maker} makes {size.pixels * frames} pixels ({size}), {limits.max_pixels} are allowed"
            )
    if size.longer > limits.max_side:
        raise UnprocessableImage(
            f"the output would have {size} pixels because of {maker}, {limits.max_side} a side are allowed;"
            f" add thumb={limits.max_side}"
        )


def _key(sha256: str, made: Plan) -> str:
    text = f"{sha256}|{'&'.join(map(str, made.steps))}|{made.encoding}|{made.frames}"
    return hashlib.sha256(text.encode()).hexdigest()
