"""Whether a decoded picture has the right size and mean colour. Runs in a thread."""

import time

import pyvips

from loadtests.photos import mean_colour
from loadtests.variants import Expected

_COLOUR_TOLERANCE = 12.0
"""Of 255. Scaling and lossy formats move the mean of a photo by one or two; another photo differs by dozens."""
_SIZE_TOLERANCE = 1
"""Pixels by which the service may round."""


class Sample:
    """Chooses one answer every few seconds to decode. An AVIF of a megapixel takes 0.1 s, for which hits wait."""

    def __init__(self, seconds: float = 4.0) -> None:
        self._seconds, self._next = seconds, 0.0

    def due(self) -> bool:
        """Whether to decode this answer."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


def difference(body: bytes, expected: Expected) -> str | None:
    """What is wrong with the pixels."""
    try:
        picture = pyvips.Image.new_from_buffer(body, "", fail_on="truncated")
        width, height, mean = picture.width, picture.height, mean_colour(picture)
    except pyvips.Error as error:
        return f"the body cannot be decoded: {str(error).strip().splitlines()[-1]}"
    if max(abs(width - expected.width), abs(height - expected.height)) > _SIZE_TOLERANCE:
        return f"pixels: {width} x {height} instead of {expected.width} x {expected.height}"
    if expected.mean and max(abs(a - b) for a, b in zip(mean, expected.mean, strict=True)) > _COLOUR_TOLERANCE:
        return "pixels: another mean colour than the photo's"
    return None
