"""The operation `background`."""

from imaging.alpha import rounded
from imaging.geometry import Frame, Size
from imaging.types import Image
from transform_service.operations.base import Operation, Overlays, Reads, Steps, operation
from transform_service.operations.colours import Colour

_OPAQUE = 255


@operation("background")
class Background(Operation):
    """Put a `colour` behind the image, and into corners and margins that later operations add.

    A colour is RRGGBB, RRGGBBAA, RGB or RGBA in hex digits, with or without `#` (in a URL `%23`), or a name of CSS.
    """

    colour: Colour
    examples = ("background=ff8800", "background=00000080", "background=f80", "background=rebeccapurple")
    reads = Reads.POINT
    cost = 5.0

    @property
    def opacity(self) -> int:
        """From 0 to 255 (opaque)."""
        return bytes.fromhex(self.colour.ljust(8, "f"))[-1]

    def output(self, frame: Frame) -> Frame:
        """Opaque if the colour is."""
        return Frame(frame.size, frame.alpha and self.opacity < _OPAQUE, frame.exact)

    def resolve(self, frame: Frame) -> Steps:
        """No step for an opaque image. The planner fills what later steps add."""
        return (self,) if frame.alpha else ()

    def keeps_gain_map(self) -> bool:
        """Yes: what it changes is transparent, which images with a gain map are nowhere."""
        return True

    def apply_to_map(self, gain_map: Image, size: Size) -> Image:
        """Nothing changes."""
        return gain_map

    def apply_with(self, image: Image, overlays: Overlays) -> Image:
        """Flatten the image onto an opaque colour, or compose it over a translucent one."""
        if not image.hasalpha():
            return image
        red, green, blue, _ = bytes.fromhex(self.colour.ljust(8, "f"))
        rgb = overlays.colour(red, green, blue)
        colour = image.colourspace("srgb")
        if self.opacity == _OPAQUE:
            return rounded(colour.cast("float").flatten(background=rgb), image)
        behind = colour.new_from_image([*rgb, self.opacity])
        return rounded(behind.cast("float").composite2(colour.cast("float"), "over"), image)
