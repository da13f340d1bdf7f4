"""Chains of operations, and the variants of an image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import quote

from imgsvc_client import markup
from imgsvc_client._operations import Operations
from imgsvc_client.signing import sign

_SAFE = ",.:-_~"


@dataclass(frozen=True, slots=True)
class Chain(Operations["Chain"]):
    """Operations in the order in which they run: `Chain().thumb(300).blur(2)`. Its text is a query."""

    steps: tuple[str, ...] = ()

    def _then(self, step: str) -> "Chain":
        return Chain((*self.steps, step))

    def __str__(self) -> str:
        return "&".join(self.steps)


@dataclass(frozen=True, slots=True)
class Variant(Operations["Variant"]):
    """An image after some operations: `image.thumb(300).blur(2)`."""

    original: str
    """The URL of the original."""
    chain: Chain = Chain()
    secret: str | None = None
    """A signing secret, for private images."""
    is_named: bool = False
    """Whether the URL has a name in place of an ID. The end of a name does not choose the format."""

    def _then(self, step: str) -> "Variant":
        return replace(self, chain=self.chain._then(step))

    def __str__(self) -> str:
        return self.url()

    def url(
        self,
        format: str | None = None,  # noqa: A002
        *,
        width: int | None = None,
        download: str | bool | None = None,
    ) -> str:
        """The URL, in a format such as `webp` or `auto`, or in that of the image.

        `width` scales the result down to so many pixels. `download` makes browsers save it, under that name if it is
        one.
        """
        pairs = [*self.chain.steps, *([f"w={width}"] if width else [])]
        if download:
            pairs.append("download" if download is True else f"download={quote(download, safe=_SAFE)}")
        extension = f".{format}" if format and not self.is_named else ""
        if format and self.is_named:
            pairs.append(f"format={format}")
        return f"{self.original}{extension}" + (f"?{'&'.join(pairs)}" if pairs else "")

    def signed_url(
        self,
        format: str | None = None,  # noqa: A002
        *,
        expires: datetime | timedelta | int | None = None,
        width: int | None = None,
        widths: Sequence[int] = (),
    ) -> str:
        """A signed URL; see `sign`. Raises ValueError without a signing secret."""
        if self.is_named:
            raise ValueError("names are not signed; sign the URL of the image: client.image(…)")
        if self.secret is None:
            raise ValueError("there is no signing secret; give one to the client: Client(…, signing_secret='sk_…')")
        return sign(self.url(format, width=width), self.secret, expires=expires, widths=widths)

    def srcset(self, widths: Sequence[int], format: str | None = None) -> str:  # noqa: A002
        """The value of `srcset`, for widths in pixels."""
        return markup.srcset(self._ladder, widths, format)

    def img(self, widths: Sequence[int] = (), format: str | None = None, **attributes: str) -> markup.Html:  # noqa: A002
        """An `<img>` with these attributes, such as `sizes`, `alt` and `loading`."""
        return markup.img(self._ladder, widths, format, attributes)

    def picture(
        self, widths: Sequence[int], formats: Sequence[str] = ("avif", "webp", "jpg"), **attributes: str
    ) -> markup.Html:
        """A `<picture>` with the formats in the order of preference, and these attributes of its `<img>`."""
        return markup.picture(self._ladder, widths, formats, attributes)

    def _ladder(self, width: int | None, fmt: str | None) -> str:
        return self.url(fmt, width=width)
