"""The operations. Written by `make docs` from the code of the service; do not edit."""

from decimal import Decimal
from typing import Generic, Literal, TypeVar
from urllib.parse import quote

Then = TypeVar("Then")


class Operations(Generic[Then]):
    """What has operations. Each returns what comes out, and leaves this as it is."""

    def _then(self, step: str) -> Then:
        raise NotImplementedError

    def preset(self, name: str) -> Then:
        """The operations of a preset that the service configures."""
        return self._then(f"preset={quote(name, safe='')}")

    def autocrop(self) -> Then:
        """Remove a border that has the colour of the top left pixel.

        An image with only that colour does not change. The frames of an animation keep one size: what is inside the
        border in any of them.
        """
        return self._then(_step("autocrop"))

    def background(self, colour: str) -> Then:
        """Put a `colour` behind the image, and into corners and margins that later operations add.

        A colour is RRGGBB, RRGGBBAA, RGB or RGBA in hex digits, with or without `#` (in a URL `%23`), or a name of
        CSS.
        """
        return self._then(_step("background", (colour, None)))

    def blur(self, radius: float, *, cut: float = 0.2) -> Then:
        """Blur with a Gaussian whose standard deviation is `radius` pixels.

        Its tails are cut off below `cut` times the peak (default: 0.2, as in libvips). A lower cut is smoother and
        slower.
        """
        return self._then(_step("blur", (_number("blur: radius", radius), None), (_number("blur: cut", cut), 0.2)))

    def brightness(self, factor: float) -> Then:
        """Multiply all colours by `factor`, as `brightness()` does in CSS.

        1 changes nothing, 0 is black.
        """
        return self._then(_step("brightness", (_number("brightness: factor", factor), None)))

    def compress(self, quality: int) -> Then:
        """Encode with a `quality` from 0 to 100 (best).

        The lowest of several wins. PNG and GIF get fewer colours.
        """
        return self._then(_step("compress", (_whole("compress: quality", quality), None)))

    def contrast(self, factor: float) -> Then:
        """Multiply the distance of colours from mid-grey by `factor`, as `contrast()` does in CSS.

        1 changes nothing.
        """
        return self._then(_step("contrast", (_number("contrast: factor", factor), None)))

    def crop(
        self,
        width: int,
        height: int,
        *,
        left: int | None = None,
        top: int | None = None,
        place: Literal[
            "centre",
            "north",
            "northeast",
            "east",
            "southeast",
            "south",
            "southwest",
            "west",
            "northwest",
            "smart",
            "focus",
        ] = "centre",
    ) -> Then:
        """Cut out a `box` of `WxH` pixels, either at a `place` or, as `X,Y,WxH`, at `left` and `top`.

        The place is centre (default), north, northeast, east, southeast, south, southwest, west, northwest, smart:
        where the eye looks first (skin, saturation, edges), or focus: around the focal point of the image, and `smart`
        without one or behind `autocrop`. The box is clipped to the image.
        """
        return self._then(
            _step(
                "crop",
                (_whole("crop: left", left), None),
                (_whole("crop: top", top), None),
                (_box("crop", width, height), None),
                (place, "centre"),
            )
        )

    def flip(self) -> Then:
        """Mirror vertically: swap top and bottom."""
        return self._then(_step("flip"))

    def flop(self) -> Then:
        """Mirror left and right."""
        return self._then(_step("flop"))

    def grayscale(self) -> Then:
        """Reduce colours to their luma (ITU-R BT.709), as `grayscale(1)` does in CSS."""
        return self._then(_step("grayscale"))

    def pad(self, width: int, height: int) -> Then:
        """Centre the image on a canvas of `WxH` pixels.

        The margins are transparent or in the background's colour. Sides that are already larger do not change.
        """
        return self._then(_step("pad", (_box("pad", width, height), None)))

    def page(self, number: int) -> Then:
        """Take one frame of an animation or one page of a TIFF.

        `number` counts from 0.
        """
        return self._then(_step("page", (_whole("page: number", number), None)))

    def pixelate(self, side: int) -> Then:
        """Replace squares of `side` pixels with their mean colour."""
        return self._then(_step("pixelate", (_whole("pixelate: side", side), None)))

    def profile(self, colours: Literal["srgb", "keep"]) -> Then:
        """Choose the `colours` of the result: `srgb` (default), or `keep` for those of the image, with its ICC profile.

        `keep` is for wide gamuts, such as Display P3. CMYK, grey, HDR and GIF become sRGB in any case. Watermarks and
        backgrounds are in sRGB, and look the same with both.
        """
        return self._then(_step("profile", (colours, None)))

    def resize(
        self,
        width: int | None = None,
        height: int | None = None,
        *,
        fit: Literal["inside", "outside", "cover", "contain", "fill"] = "inside",
        enlarge: bool = False,
    ) -> Then:
        """Scale to a `box` of `WxH`, `Wx` or `xH` pixels.

        Enlarges only with `enlarge`. With the `fit` `inside` (default), the result is the largest size that fits into
        the box; with `outside`, the smallest that covers it. `cover` is `outside`, cropped to the box. `contain` is
        `inside`, padded to the box (transparent, or in the background's colour). `fill` takes both sides of the box
        and ignores the aspect ratio. An omitted side follows from the aspect ratio.
        """
        return self._then(
            _step(
                "resize", (_box("resize", width, height), None), (fit, "inside"), ("enlarge" if enlarge else None, None)
            )
        )

    def rotate(self, degrees: float) -> Then:
        """Turn clockwise by `degrees`.

        The canvas grows; its corners are transparent or in the background's colour.
        """
        return self._then(_step("rotate", (_number("rotate: degrees", degrees), None)))

    def saturation(self, factor: float) -> Then:
        """Multiply the distance of colours from their grey by `factor`, as `saturate()` does in CSS.

        1 changes nothing.
        """
        return self._then(_step("saturation", (_number("saturation: factor", factor), None)))

    def sharpen(self, sigma: float) -> Then:
        """Sharpen the lightness with an unsharp mask of `sigma` pixels, as libvips does.

        Flat areas do not change.
        """
        return self._then(_step("sharpen", (_number("sharpen: sigma", sigma), None)))

    def thumb(self, side: int) -> Then:
        """Fit inside a square of `side` pixels.

        Keeps the aspect ratio and never enlarges.
        """
        return self._then(_step("thumb", (_whole("thumb: side", side), None)))

    def watermark(
        self,
        image_id: str,
        *,
        place: Literal[
            "centre", "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"
        ] = "centre",
        opacity: float = 1.0,
        scale: float | None = None,
    ) -> Then:
        """Lay the stored image `image_id` over this one, at a `place` (default: centre), with an `opacity` from 0 to 1.

        With a `scale` above 0 and up to 1, the watermark is as large as fits into that share of the image's width and
        height. Without a scale, it keeps its size, or shrinks to fit.
        """
        return self._then(
            _step(
                "watermark",
                (image_id, None),
                (place, "centre"),
                (_number("watermark: opacity", opacity), 1.0),
                (_number("watermark: scale", scale), None),
            )
        )


def _box(name: str, width: int | None, height: int | None) -> str:
    return f"{_whole(f'{name}: width', width) or ''}x{_whole(f'{name}: height', height) or ''}"


def _number(name: str, value: float | None) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, not {value!r}") from None


def _whole(name: str, value: int | None) -> int | None:
    if value is None:
        return None
    if not _text(value).isdecimal():
        raise ValueError(f"{name} must be a whole number of 0 or more, not {value!r}")
    return int(_text(value))


def _step(name: str, *arguments: tuple[object, object]) -> str:
    """The text of an operation, without defaults at its end. Each argument comes with its default."""
    given = [*arguments]
    while given and given[-1][0] == given[-1][1]:
        given.pop()
    texts = [_text(value) for value, _ in given if value is not None]
    return f"{name}={','.join(texts)}" if texts else name


def _text(value: object) -> str:
    if isinstance(value, float):
        text = f"{Decimal(repr(value)):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return quote(str(value), safe="")
