"""Signed URLs: what is signed, and what is refused without looking at a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from service_kit import signing
from service_kit.errors import WrongCredential

MASTER, KEY = b"m" * 32, "0123456789ab"
SECRET = signing.shown(KEY, signing.derived_secret(MASTER, KEY))
PAIRS = some.text("abcdefgh=,.%-0123456789", min_size=1, max_size=12).filter(lambda pair: not pair.startswith("="))
CHAINS = some.lists(PAIRS, max_size=5).map("&".join)


def is_right(target: str) -> bool:
    """Whether a URL is signed by KEY."""
    try:
        url = signing.taken_apart(target)
    except WrongCredential:
        return False
    secret = signing.derived_secret(MASTER, KEY)
    return url is not None and url.key_id == KEY and signing.signature_of(url.text, secret) == url.signature


def spelt(target: str) -> str:
    """A URL with its path in the canonical spelling."""
    path, mark, query = target.partition("?")
    return signing.canonical(path) + mark + query


@given(CHAINS, some.none() | some.integers(1, 10**11 - 1))
def test_what_was_signed_is_right(chain: str, expires: int | None) -> None:
    target = f"/v1/images/abc.webp?{chain}".rstrip("?")
    url = signing.signed(target, SECRET, expires=expires)
    assert is_right(url)
    assert signing.without(url.partition("?")[2]) == chain


@given(CHAINS, some.data())
def test_nothing_else_is_right(chain: str, data: some.DataObject) -> None:
    url = signing.signed(f"/v1/images/abc.webp?{chain}".rstrip("?"), SECRET, expires=5)
    place = data.draw(some.integers(0, len(url) - 1))
    end = data.draw(some.integers(place, min(len(url), place + 3)))
    changed = url[:place] + data.draw(some.text("aA0=&?%,", max_size=3)) + url[end:]
    assert spelt(changed) == spelt(url) or not is_right(changed)


def test_milliseconds_are_refused() -> None:
    with pytest.raises(ValueError, match="the URL cannot be signed: expires is in seconds"):
        signing.signed("/v1/images/abc", SECRET, expires=1_800_000_000_000)


@pytest.mark.parametrize("url", ["/v1/images/abc/info", "/v1/images", "/v1/keys", "https://x.example/v1/images/"])
def test_only_urls_of_pictures_are_signed(url: str) -> None:
    with pytest.raises(ValueError, match="not one of a picture"):
        signing.split(url)


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/image/x", "/v1/images/x"),
        ("/images/x.png", "/v1/images/x.png"),
        ("/v1/image/x", "/v1/images/x"),
        ("/v1/images/x", "/v1/images/x"),
        ("/transform", "/v1/transform"),
        ("/v1/transform", "/v1/transform"),
        ("/v1/transforms", "/v1/transforms"),
        ("/imagesx", "/imagesx"),
        ("/v2/images/x", "/v2/images/x"),
        ("//images/x", "//images/x"),
    ],
)
def test_the_canonical_path(path: str, canonical: str) -> None:
    assert signing.canonical(path) == canonical
    assert is_right(signing.signed(f"{canonical}?a=1", SECRET).replace(canonical, path, 1))


@pytest.mark.parametrize("secret", ["", "sk_", SECRET[:-1], SECRET.upper(), SECRET.replace("sk_", "ik_")])
def test_a_wrong_secret_is_explained(secret: str) -> None:
    with pytest.raises(ValueError, match="not a signing secret"):
        signing.signed("/v1/images/x", secret)


def test_a_signature_is_left_out_of_logs() -> None:
    url = signing.signed("/v1/images/x?thumb=9", SECRET)
    assert signing.redacted(url) == url[:-43] + "-"
    assert signing.redacted(url + "&x=1") == url[:-43] + "-&x=1"
    assert signing.redacted("/v1/images/x?blur=2") == "/v1/images/x?blur=2"
