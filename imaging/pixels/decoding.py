"""Decodes image files: whole, or only as much as a smaller result needs.

Leaves colours and orientation as they are: turns are steps of a plan.
"""

from io import BytesIO
from mmap import mmap
from typing import Any

from imaging import jpeg_segments
from imaging.geometry import Size
from imaging.header import Header
from imaging.pixels import _turbojpeg, vips
from imaging.pixels.colour import can_be_scaled, described, normal
from imaging.pixels.vips import pyvips
from service_kit.errors import UnprocessableImage

_PROFILE, _DELAY = "icc-profile-data", "delay"


class OpenFile:
    """See ImageFile."""

    def __init__(self, data: mmap, header: Header, page: int = 0, keep_profile: bool = False) -> None:
        """Open a file. `page` is the frame to read. With `keep_profile`, its colours stay those of its profile."""
        self.header = header
        self.keep_profile = keep_profile
        self._file = data
        self._page = page
        self._readable = header.image_format.reader.readable(data)

    @property
    def data(self) -> bytes | mmap:
        """See ImageFile."""
        return self._readable.data

    def load(self, **options: float) -> pyvips.Image:
        """See ImageFile. Converts the image to the normal form first, unless its stored pixels can be scaled."""
        image = self.load_as_stored(**options)
        return image if can_be_scaled(image) else normal(image, keep_profile=self.keep_profile)

    def load_as_stored(self, **options: float) -> pyvips.Image:
        """Open the file, and convert nothing. What it says about its colours becomes a profile."""
        pages = self._readable.pages
        page = pages[self._page] if pages else self._page
        if page and "n" not in options:
            options["page"] = page
        reader = self.header.image_format.reader
        image = vips.load(self.data, reader.loader, fail_on="error", **options)
        if image.get_typeof("tile-width"):  # of a broken tile, libvips would only warn
            image = vips.load(self.data, reader.loader, fail_on="warning", **options)
        image = reader.colour_converted(image, self._file, self._page)
        return described(image, reader.colours(self._file))

    def frames(self) -> list[pyvips.Image]:
        """The frames of an animation, in the order of the file."""
        image = self.load(n=-1)
        frames, kept = image.pagesplit(), self._readable.pages
        if kept:
            frames = [frames[page] for page in kept]
            delays: Any = image.get(_DELAY)
            for frame in frames:
                frame.set_type(pyvips.GValue.array_int_type, _DELAY, [delays[page] for page in kept])
        for frame in frames:
            frame.remove("page-height")  # otherwise a turned frame would look like several
        return list(frames)

    def has_filling(self) -> bool:
        """Whether bytes before an end that was added belong to no pixel. Decodes the whole file if one was added."""
        if not self._readable.added:
            return False
        fmt = self.header.image_format
        try:
            with vips.decoding("the image", fmt):
                vips.load(self._readable.shorter, fmt.reader.loader, fail_on="error").avg()
        except UnprocessableImage:
            return False
        return True

    def load_jpeg(self, data: BytesIO | bytes | mmap, shrink: int) -> pyvips.Image | None:
        """See ImageFile."""
        image = _turbojpeg.decoded(
            data.getbuffer() if isinstance(data, BytesIO) else memoryview(data), self.header.size, shrink
        )
        if image is not None and jpeg_segments.may_have_profile(self.data):
            original = vips.load(self.data, self.header.image_format.reader.loader)  # reads only the header
            if original.get_typeof(_PROFILE):
                image.set_type(pyvips.GValue.blob_type, _PROFILE, original.get(_PROFILE))
        return image


def whole(file: OpenFile) -> pyvips.Image:
    """A frame with all its pixels, to be read once from top to bottom."""
    return file.header.image_format.reader.whole(file)


def verify(data: mmap, header: Header) -> None:
    """Decode all frames and forget them. Inside `vips.decoding`, this raises UnprocessableImage for a broken file."""
    if header.image_format.animated:
        OpenFile(data, header).load(n=-1).avg()
        return
    for page in range(header.frames):
        OpenFile(data, header, page).load().avg()


def scaled(file: OpenFile, target: Size) -> pyvips.Image:
    """A frame scaled down to `target`. The decoder does as much of the scaling as it can.

    The pixels are those of libvips' `thumbnail`, or closer to those of a full decode (imaging/scaling.py,
    imaging/formats/webp.py), except for what jpeg_scans.py describes. `thumbnail` itself has three drawbacks. It looks
    up the loader of each file again, which takes 1 ms. It reads the other pages of a TIFF as levels of a pyramid. With
    `output_profile`, it converts untagged images from sRGB to sRGB: 4 MP to 512 pixels take 44 ms instead of 14.
    """
    return file.header.image_format.reader.scaled(file, target)


def frames(file: OpenFile) -> list[pyvips.Image]:
    """The frames of an animation, in the order of the file."""
    return file.frames()
