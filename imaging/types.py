"""The type of decoded pixels, for modules that must not load libvips."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyvips  # noqa: TID251  # types only

    Image = pyvips.Image
else:
    Image = Any
