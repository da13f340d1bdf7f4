"""Whether a picture is the one that was asked for: decoded, its size and its mean colour. Runs in a thread."""

import time

import pyvips

from loadtests.photos import mean_colour
from loadtests.variants import Expected

_COLOUR_TOLERANCE = 12.0
"""Of 255. Scaling and lossy formats move the mean of a whole photo by one or two; another photo, by dozens."""
_SIZE_TOLERANCE = 1
"""Pixels: rounding is the service's business."""


class Sample:
    """Lets one answer in some seconds be decoded: an AVIF of a megapixel takes a tenth of one, for which hits wait."""

    def __init__(self, seconds: float = 4.0) -> None:
        self._seconds = seconds
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time for one more."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


def difference(body: bytes, expected: Expected) -> str | None:
    """What is wrong with the pixels."""
    try:
        picture = pyvips.Image.new_from_buffer(body, "", fail_on="truncated")
        size, mean = (picture.width, picture.height), mean_colour(picture)
    except pyvips.Error as error:
        return f"the body cannot be decoded: {str(error).strip().splitlines()[-1]}"
    if abs(size[0] - expected.width) > _SIZE_TOLERANCE or abs(size[1] - expected.height) > _SIZE_TOLERANCE:
        return f"pixels: {size[0]} x {size[1]} instead of {expected.width} x {expected.height}"
    if expected.mean and max(abs(a - b) for a, b in zip(mean, expected.mean, strict=True)) > _COLOUR_TOLERANCE:
        return "pixels: another mean colour than the photo's"
    return None
