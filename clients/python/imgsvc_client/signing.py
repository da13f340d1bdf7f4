"""Signed URLs, which show private images for some time. Needs no service, only the signing secret of a key."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_SECRET = re.compile(r"sk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_PICTURE = re.compile(r"(?P<base>.*?)(?P<target>/(?:v1/)?(?:images?/[^/?]+(?:\?.*)?|transform\?.*))")
_SIGNED = re.compile(r"(?:[?&])(key|expires|signature|widths|presets)=")
_WIDTH = re.compile(r"([?&](?:thumb|w|width)=)[^&]*")
_PRESET = re.compile(r"([?&]preset=)[^&]*")


def sign(
    url: str,
    secret: str,
    *,
    expires: datetime | timedelta | int | None = None,
    widths: Sequence[int] = (),
    presets: Sequence[str] = (),
) -> str:
    """The signed URL of a picture.

    `expires` is a moment, a time from now, or in seconds since 1970; None: the URL works as long as the key. With
    `widths`, viewers may replace the width in the URL (`w`, `width` or `thumb`) by one of these; with `presets`, the
    preset.
    Raises ValueError if the URL or the secret is not valid.
    """
    key, match = _SECRET.fullmatch(secret.strip()), _PICTURE.fullmatch(url)
    if not key:
        raise ValueError("the secret is not a signing secret; it begins with sk_")
    if not match or "#" in url:
        raise ValueError(f"{url[:200]!r} is not the URL of a picture, such as https://HOST/v1/images/ID.webp?thumb=300")
    if _SIGNED.search(url):
        raise ValueError("the URL is signed already, or has a parameter of signed URLs; remove it")
    target = match["target"]
    ends = [*_ladder("widths", widths), *_ladder("presets", presets), f"key={key[1]}"]
    if expires is not None:
        ends.append(f"expires={_seconds(expires)}")
    signed = target + ("&" if "?" in target else "?") + "&".join(ends)
    text = re.sub(r"^/(?:v1/)?images?/", "/v1/images/", re.sub(r"^/(?:v1/)?transform\?", "/v1/transform?", signed))
    for name, covered, pattern in (("width", widths, _WIDTH), ("preset", presets, _PRESET)):
        if covered:
            text, number = pattern.subn(r"\1*", text)
            if number != 1:
                raise ValueError(f"the URL needs one {name}, since the signature is for several")
    digest = hmac.digest(key[2].encode(), text.encode(), hashlib.sha256)
    return f"{match['base']}{signed}&signature={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _seconds(expires: datetime | timedelta | int) -> int:
    """Seconds since 1970. Raises ValueError if it is not a time in the future."""
    now = datetime.now(UTC)
    if isinstance(expires, timedelta):
        expires = now + expires
    if isinstance(expires, datetime):
        if expires.tzinfo is None:
            raise ValueError(f"expires={expires} has no time zone; use datetime.now(UTC) + timedelta(hours=1)")
        expires = int(expires.timestamp())
    if not isinstance(expires, int) or expires <= now.timestamp():
        raise ValueError(f"expires={expires!r} is not a time in the future; use timedelta(hours=1), for example")
    return expires


def _ladder(name: str, values: Sequence[object]) -> list[str]:
    return [f"{name}={','.join(map(str, values))}"] if values else []
