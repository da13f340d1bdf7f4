"""The limits of images that the service accepts."""

from dataclasses import dataclass

from service_kit.errors import UnprocessableImage


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The largest image that the service accepts."""

    max_pixels: int
    """Pixels of all frames together."""
    max_frames: int
    max_side: int = 32_768
    """The longer side of a frame, in pixels."""
    max_metadata: int = 16 * 1024**2
    """Profiles, EXIF, XMP and text together, unpacked, in bytes. Decoders keep several copies."""
    max_bands: int = 8
    """Four colours, alpha and a few more. libvips keeps all bands until the end."""

    def check_frames(self, frames: int) -> None:
        """Raise UnprocessableImage for more frames than allowed."""
        if frames > self.max_frames:
            raise UnprocessableImage(f"the image has more than {self.max_frames} frames")

    def check_size(self, width: int, height: int) -> None:
        """Raise UnprocessableImage if a side of a frame is too long, or if it has too many pixels."""
        if max(width, height) > self.max_side:
            raise UnprocessableImage(
                f"the image is {width} x {height} pixels; the limit is {self.max_side} on each side"
            )
        self.check_pixels(width * height, f"{width} x {height}")

    def check_pixels(self, pixels: int, size: object) -> None:
        """Raise UnprocessableImage, which says the `size`, for more pixels than allowed in all frames together."""
        if pixels > self.max_pixels:
            raise UnprocessableImage(f"the image has {pixels} pixels ({size}); the limit is {self.max_pixels}")

    def check_bands(self, bands: int) -> None:
        """Raise UnprocessableImage if a pixel has more bands than any picture needs."""
        if bands > self.max_bands:
            raise UnprocessableImage(
                f"the image has {bands} bands; the limit is {self.max_bands}: up to four colours, alpha and a few more"
            )

    def check_metadata(self, count: int) -> None:
        """Raise UnprocessableImage for `count` bytes of metadata if those are more than allowed."""
        if count > self.max_metadata:
            raise UnprocessableImage(
                f"the image has more than {self.max_metadata // 1024**2} MiB of metadata; remove its metadata"
            )
