"""Choosing a format by the Accept header."""

import pytest

from imaging.formats import FORMATS
from transform_service.http.negotiation import negotiated

CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
FIREFOX = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
FIREFOX_PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
SAFARI = (
    "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/*;q=0.8,*/*;q=0.5"
)
OLD_SAFARI = "image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (CHROME, "avif"),
        (FIREFOX, "avif"),
        (FIREFOX_PAGE, "avif"),
        (SAFARI, "avif"),
        (OLD_SAFARI, "jpeg"),
        ("image/webp,*/*;q=0.8", "webp"),
        ("IMAGE/WebP", "webp"),
        ("image/webp;q=0.9,image/avif;q=0.9", "avif"),
        ("image/webp;q=0.9,image/avif;q=0.1", "webp"),
        ("image/webp;q=0.5,image/jpeg", "jpeg"),
        ("image/webp;q=0.5,image/*;q=0.4", "webp"),
        ("image/webp;q=0.5,*/*", "jpeg"),
        ("image/avif;q=0,image/webp;q=0.000,*/*", "jpeg"),
        ("image/avif;q=nonsense,image/webp", "webp"),
        ("*/*", "jpeg"),
        ("image/*", "jpeg"),
        ("text/html", "jpeg"),
        ("", "jpeg"),
        (",;=\x00,q=1;;", "jpeg"),
        ("image/webpx,ximage/avif", "jpeg"),
        ("image/webp," * 90, "webp"),
        ("image/webp," * 100, "jpeg"),  # too long to be a browser's
    ],
)
def test_the_preferred_format_wins(accept: str, chosen: str) -> None:
    assert negotiated([accept], FORMATS["jpeg"], animated=False) is FORMATS[chosen]


def test_several_headers_count_as_one_list() -> None:
    assert negotiated(["image/png", "image/webp"], FORMATS["jpeg"], animated=False) is FORMATS["webp"]
    assert negotiated([], FORMATS["jpeg"], animated=False) is FORMATS["jpeg"]


def test_an_animation_stays_animated() -> None:
    assert negotiated([CHROME], FORMATS["gif"], animated=True) is FORMATS["webp"]
    assert negotiated(["image/avif"], FORMATS["gif"], animated=True) is FORMATS["gif"]
