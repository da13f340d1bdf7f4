"""YCbCr as TIFF describes it: with coefficients of its own, and samples for black and white (TIFF 6.0, section 21)."""

from dataclasses import dataclass
from typing import Any

USUAL_LUMA, USUAL_REFERENCE = (0.299, 0.587, 0.114), (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
"""libtiff's defaults. Those of the specification leave blue and red no negative values."""
_CODING_RANGES = (255, 127, 127)


@dataclass(frozen=True, slots=True)
class YCbCr:
    """How much red, green and blue make up the brightness, and the samples for black and white of each band."""

    luma: tuple[float, ...]
    reference: tuple[float, ...]

    @property
    def possible(self) -> bool:
        """Whether there is a conversion."""
        pairs = zip(self.black, self.reference[1::2], strict=True)
        return min(self.luma) > 0 and all(white > black for black, white in pairs)

    @property
    def black(self) -> tuple[float, ...]:
        """What to subtract from the samples."""
        return self.reference[::2]

    @property
    def matrix(self) -> Any:
        """What then makes them RGB."""
        pairs = zip(_CODING_RANGES, self.black, self.reference[1::2], strict=True)
        y, cb, cr = (most / (white - black) for most, black, white in pairs)
        red, green, blue = self.luma
        to_red, to_blue = cr * (2 - 2 * red), cb * (2 - 2 * blue)
        to_green = [y * (1 - red - blue) / green, -blue * to_blue / green, -red * to_red / green]
        return [[y, 0.0, to_red], to_green, [y, to_blue, 0.0]]
