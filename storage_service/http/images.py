"""Images in JSON."""

import json
from typing import Annotated, Any, Self

from pydantic import Field

from imaging.formats import FORMATS
from imaging.looks import Colour, Look
from service_kit.access import Visibility
from service_kit.http import paths
from service_kit.http.endpoints import IMAGE_ID_PATTERN
from service_kit.http.json_bodies import JsonAnswer, Moment
from storage_service.http.labels import Focus
from storage_service.metadata.base import ImageRecord

ImageId = Annotated[str, Field(pattern=IMAGE_ID_PATTERN)]
FormatName = Annotated[str, Field(json_schema_extra={"enum": [*FORMATS]})]
_Count = Annotated[int, Field(ge=0)]


class Image(JsonAnswer):
    """A stored image."""

    image_id: ImageId
    filename: str
    """The ID with the extension of the format."""
    url: str
    """The URL of the original: a path, or absolute if the service has a PUBLIC_URL."""
    format: FormatName
    content_type: str
    width: _Count
    """Pixels, as stored: before the EXIF orientation is applied."""
    height: _Count
    frames: _Count
    """1 unless the image is animated."""
    bytes: _Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    visibility: Visibility
    """Who may see it: everybody, or who has a key or a signed URL."""
    space: str
    """The space that it is in."""
    created_at: Moment
    expires_at: Moment | None
    """When it is deleted; null: never."""
    original_filename: str
    """The name of the file that was uploaded; empty if the client did not say."""
    title: str
    alt: str
    """What the picture shows, for those who do not see it."""
    tags: list[str]
    colour: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")] | None
    """The dominant colour; null: it is transparent, or no job has looked at it yet."""
    thumbhash: str | None
    """A tiny picture to show while it loads: a [ThumbHash](https://evanw.github.io/thumbhash/) in base64."""

    @classmethod
    def of(cls, record: ImageRecord, base: str, look: Look | None = None) -> Self:
        """An image as clients see it. `base` is in front of its URL."""
        return cls(**_facts(record, base, look))


class Links(JsonAnswer):
    """URLs of an image."""

    original: str
    thumbnail: str
    webp: str


class ImageDetails(Image):
    """All that is known about a stored image."""

    orientation: Annotated[int, Field(ge=1, le=8)]
    """EXIF orientation, which is applied before any operation."""
    colour_space: str
    """As libvips names it, such as `srgb`, `b-w` or `cmyk`."""
    alpha: bool
    """Whether it may have transparent pixels."""
    unread_frames: _Count
    """Frames of an animation of which the service shows only one picture."""
    gain_map: bool
    """Whether it is an Ultra HDR photo."""
    metadata: dict[str, Any]
    focus: Focus | None
    """Where the subject is; null: unknown."""
    colours: list[str]
    """The basic colours that it has most of, such as `blue`."""
    phash: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None
    """The perceptual hash, by which similar images are found; null: no job has looked at it yet, or there is
    nothing on it."""
    links: Links

    @classmethod
    def of(cls, record: ImageRecord, base: str, look: Look | None = None) -> Self:
        """See Image."""
        original = paths.image_url(record.image_id, base=base)
        return cls(
            **_facts(record, base, look),
            orientation=record.orientation,
            colour_space=record.colour_space,
            alpha=record.alpha,
            unread_frames=record.unread_frames,
            gain_map=record.gain_map_pixels > 0,
            metadata=json.loads(record.metadata),
            focus=_focus(record),
            colours=[colour.name.lower() for colour in Colour if look and look.colours & colour],
            phash=None if look is None or look.phash is None else f"{look.phash & (1 << 64) - 1:016x}",
            links=Links(
                original=original,
                thumbnail=f"{original}?thumb=200",
                webp=paths.image_url(record.image_id, "webp", base),
            ),
        )


class ImagePage(JsonAnswer):
    """A page of images, newest first."""

    images: list[Image]
    cursor: str | None
    """Leads to the next page; null on the last one. A search may find few images, or none, before that."""


def _focus(record: ImageRecord) -> Focus | None:
    if record.focus_x is None or record.focus_y is None:
        return None
    return Focus(x=record.focus_x, y=record.focus_y)


def _facts(record: ImageRecord, base: str, look: Look | None) -> dict[str, object]:
    fmt = record.image_format
    return {
        "image_id": record.image_id,
        "filename": f"{record.image_id}.{fmt.extension}",
        "url": paths.image_url(record.image_id, base=base),
        "format": fmt.name,
        "content_type": fmt.media_type,
        "width": record.width,
        "height": record.height,
        "frames": record.frames,
        "bytes": record.bytes,
        "sha256": record.sha256,
        "visibility": record.visibility,
        "space": record.space,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "original_filename": record.original_filename,
        "title": record.title,
        "alt": record.alt,
        "tags": json.loads(record.tags),
        "colour": None if look is None or look.colour is None else f"#{look.colour:06x}",
        "thumbhash": look.thumbhash if look else None,
    }
