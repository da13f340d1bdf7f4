"""The types of decoded pixels and of the files that savers write, for modules that must not load libvips."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyvips  # noqa: TID251  # types only

    Image = pyvips.Image
    Target = pyvips.Target
else:
    Image = Target = Any
