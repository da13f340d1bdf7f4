"""The operation `profile`."""

from typing import Literal

from imaging.encoding import Encoding
from imaging.geometry import Frame
from transform_service.operations.base import Operation, Reads, Steps, operation


@operation("profile")
class Profile(Operation):
    """Choose the `colours` of the result: `srgb` (default), or `keep` for those of the image, with its ICC profile.

    `keep` is for wide gamuts, such as Display P3. CMYK, grey, HDR and GIF become sRGB in any case.
    Watermarks and backgrounds are in sRGB, and look the same with both.
    """

    colours: Literal["srgb", "keep"]
    examples = ("profile=keep", "profile=srgb")
    reads = Reads.POINT
    cost = 0.0

    def resolve(self, frame: Frame) -> Steps:
        """No step: it only changes what is decoded to, and what is encoded."""
        return ()

    def keeps_gain_map(self) -> bool:
        """Yes."""
        return True

    def encoding(self, encoding: Encoding) -> Encoding:
        """The last one wins."""
        return encoding.with_profile(keep=self.colours == "keep")


def keeps_profile(operations: Steps) -> bool:
    """Whether a chain asks for the colours of the image."""
    return [step.colours for step in operations if isinstance(step, Profile)][-1:] == ["keep"]
