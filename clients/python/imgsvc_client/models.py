"""What the service answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import urlsplit

from imgsvc_client._operations import Operations
from imgsvc_client.chains import Variant
from imgsvc_client.markup import Html


@dataclass(frozen=True, slots=True)
class Context:
    """What makes URLs: the service, and the signing secret."""

    base: str
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Focus:
    """Where the subject of a picture is, in shares of its upright width and height from the top left corner."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Operations[Variant]):
    """A stored image. Its operations, such as `image.thumb(300)`, make variants."""

    context: Context
    image_id: str
    filename: str
    """The ID with the extension of the format."""
    format: str
    content_type: str
    width: int
    """Pixels, as stored."""
    height: int
    frames: int
    bytes: int
    sha256: str
    visibility: str
    space: str
    created_at: datetime
    expires_at: datetime | None
    original_filename: str
    title: str
    alt: str
    tags: tuple[str, ...]
    colour: str | None = None
    """The dominant colour, such as `#fa8c0a`; None until a job has looked at the image."""
    thumbhash: str | None = None
    """A tiny picture to show while it loads, in base64."""

    def _then(self, step: str) -> Variant:
        return self.variant._then(step)

    @property
    def variant(self) -> Variant:
        """The image itself, without operations: its `url`, `srcset` and so on."""
        return Variant(f"{self.context.base}/images/{self.image_id}", secret=self.context.secret)

    def url(self, format: str | None = None, *, download: str | bool | None = None) -> str:  # noqa: A002
        """The URL of the original, or of the image in another format."""
        return self.variant.url(format, download=download)

    def signed_url(self, format: str | None = None, *, expires: datetime | timedelta | int | None = None) -> str:  # noqa: A002
        """A signed URL of the original, or of the image in another format."""
        return self.variant.signed_url(format, expires=expires)

    def srcset(self, widths: Sequence[int], format: str | None = None) -> str:  # noqa: A002
        """The value of `srcset`, for widths in pixels."""
        return self.variant.srcset(widths, format)

    def img(self, widths: Sequence[int] = (), format: str | None = None, **attributes: str) -> Html:  # noqa: A002
        """An `<img>` with these attributes."""
        return self.variant.img(widths, format, **attributes)

    def picture(self, widths: Sequence[int], **attributes: str) -> Html:
        """A `<picture>` with these attributes of its `<img>`."""
        return self.variant.picture(widths, **attributes)

    @classmethod
    def read(cls, answer: Mapping[str, Any], context: Context) -> Self:
        """An image from JSON. Fields that this version does not know are left out."""
        known = {field.name: answer[field.name] for field in fields(cls) if field.name in answer}
        if "focus" in known:
            known["focus"] = Focus(**known["focus"]) if known["focus"] else None
        expires = answer.get("expires_at")
        return cls(
            **known
            | {
                "context": context,
                "created_at": datetime.fromisoformat(answer["created_at"]),
                "expires_at": datetime.fromisoformat(expires) if expires else None,
                "tags": tuple(answer["tags"]),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDetails(Image):
    """All that is known about a stored image."""

    orientation: int
    colour_space: str
    alpha: bool
    unread_frames: int
    gain_map: bool
    metadata: Mapping[str, Any]
    focus: Focus | None
    phash: str | None = None
    """The perceptual hash, by which similar images are found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadToken:
    """A right to upload, for a web page."""

    token: str
    upload_url: str
    max_bytes: int
    formats: tuple[str, ...]
    count: int
    expires_at: datetime
    visibility: str
    space: str

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Self:
        """A token from JSON."""
        known = {field.name: answer[field.name] for field in fields(cls)}
        return cls(
            **known | {"formats": tuple(answer["formats"]), "expires_at": datetime.fromisoformat(answer["expires_at"])}
        )


def base_of(url: str) -> str:
    """The URL of version 1 of the API, for the URL of a service. Raises ValueError for anything else."""
    wrong = ValueError(f"{url!r} is not the URL of a service, such as https://images.example.com")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise wrong from None
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
        raise wrong
    return url.rstrip("/").removesuffix("/v1") + "/v1"
