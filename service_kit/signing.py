"""Signed URLs: what is signed, how, and what a signature covers besides one chain.

A signed URL is `PATH?QUERY&key=ID&expires=SECONDS&signature=TEXT`. The text that is signed is everything up to
`&signature=`, byte for byte, with the path in its canonical spelling. `widths=320,640` makes it valid for each of these
widths, and `presets=small,large` for each of these presets: in the text, `*` stands for the one in use.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

from service_kit.errors import Forbidden, WrongCredential

PARAMETERS = frozenset({"key", "expires", "signature", "widths", "presets"})
"""The parameters of signed URLs. They do not change the image. Varnish removes them (varnish/access.vcl)."""
WIDTH_PARAMETERS = frozenset({"thumb", "w", "width"})
"""What `widths` is about."""

_ALIAS = re.compile(r"/(?:v1/)?(images?|transform)(?=[/?]|$)")
_PICTURE = re.compile(r"(?P<prefix>.*?)/(?:v1/)?(?:images?/[^/?]+(?:\?|$)|transform\?)")
_NAMED = re.compile(r"(?:^|&)(key|expires|signature|widths|presets)=")
_KEY = re.compile(r"(?:^|&)key=([^&]*)")
_SIGNED = re.compile(
    r"(?P<chain>(?:[^&]+&)*?)(?:widths=(?P<widths>[0-9,]+)&)?(?:presets=(?P<presets>[A-Za-z0-9_,-]+)&)?"
    r"key=(?P<key>[0-9a-f]{12})&(?:expires=(?P<expires>[1-9][0-9]{0,14})&)?signature=(?P<signature>[A-Za-z0-9_-]{43})"
)
_PRESET = re.compile("[A-Za-z0-9_-]+")
_SIGNATURE = re.compile("((?:^|[?&])signature=)[^&]*")
_NOT_VALID = "the signature is not valid: "
_SECONDS_DIGITS = 11
"""Of times in this millennium and the next ones. Milliseconds have more."""
_SECRET = re.compile("sk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A signed URL, taken apart. Nothing of it is verified yet."""

    text: str
    """What has to be signed."""
    key_id: str
    expires: int | None
    """Seconds since 1970."""
    signature: str


def derived_secret(master: bytes, key_id: str) -> str:
    """The signing secret of a key. The database does not have it, nor anything from which to compute it."""
    return _text(hmac.digest(master, f"imgsvc signing secret of {key_id}".encode(), hashlib.sha256))


def shown(key_id: str, secret: str) -> str:
    """A signing secret as it is shown, with the ID of its key."""
    return f"sk_{key_id}_{secret}"


def parsed_secret(text: str) -> tuple[str, str]:
    """The ID of the key and the secret. Raises ValueError."""
    match = _SECRET.fullmatch(text.strip())
    if not match:
        raise ValueError(
            "the secret is not a signing secret; use the one that `imgsvc keys create --scope sign` shows (sk_…)"
        )
    return match[1], match[2]


def signature_of(text: str, secret: str) -> str:
    """The HMAC-SHA256 of `text`, in base64url without padding."""
    return _text(hmac.digest(secret.encode(), text.encode("utf-8", "surrogateescape"), hashlib.sha256))


def signed(
    target: str,
    secret: str,
    *,
    expires: int | None = None,
    widths: tuple[int, ...] = (),
    presets: tuple[str, ...] = (),
) -> str:
    """`target`, a path with or without a query, with the parameters of a signed URL.

    `secret` is as `shown`. Raises ValueError for a target that cannot have such a signature.
    """
    key_id, derived = parsed_secret(secret)
    path, _, query = target.partition("?")
    if _NAMED.search(query):
        raise ValueError("the URL is signed already, or has a parameter of signed URLs; remove it")
    pairs = [query] if query else []
    if any(width < 1 for width in widths):
        raise ValueError(f"the widths {', '.join(map(str, widths))} are not all pixels; use numbers from 1")
    if wrong := [name for name in presets if not _PRESET.fullmatch(name)]:
        raise ValueError(
            f"{wrong[0][:64]!r} is not the name of a preset; names in signed URLs have letters, digits, _ and -"
        )
    if widths:
        pairs.append("widths=" + ",".join(map(str, widths)))
    if presets:
        pairs.append("presets=" + ",".join(presets))
    pairs.append(f"key={key_id}")
    if expires is not None:
        pairs.append(f"expires={expires}")
    unsigned = f"{path}?{'&'.join(pairs)}&signature="
    try:
        taken = taken_apart(unsigned + "0" * 43)
    except Forbidden as error:
        raise ValueError(f"the URL cannot be signed: {error.detail.removeprefix(_NOT_VALID)}") from None
    assert taken
    return unsigned + signature_of(taken.text, derived)


def split(url: str) -> tuple[str, str]:
    """What is in front of the path that is signed, and that path with its query. Raises ValueError."""
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
    match = _PICTURE.match(url.removeprefix(base))
    if not match or "#" in url:
        raise ValueError("the URL is not one of a picture; it is like https://HOST/v1/images/ID.webp?thumb=300")
    base += match["prefix"]
    return base, url.removeprefix(base)


def is_signed(target: str) -> bool:
    """Whether a path and query have a parameter of signed URLs."""
    return _NAMED.search(target.partition("?")[2]) is not None


def key_of(target: str) -> str:
    """The ID of the key that a URL claims to be signed with."""
    match = _KEY.search(target.partition("?")[2])
    return match[1] if match else ""


def taken_apart(target: str) -> SignedUrl | None:
    """The parts of a signed URL, given its path and query as sent; None if it has no parameter of signed URLs.

    Raises WrongCredential if it has such parameters, but is not the URL that was signed.
    """
    path, _, query = target.partition("?")
    if not _NAMED.search(query):
        return None
    if not target.isascii():
        _refuse("other characters than those of ASCII have to be percent-encoded")
    match = _SIGNED.fullmatch(query)
    if not match:
        _refuse("signed URLs end in `&key=ID&expires=SECONDS&signature=TEXT`, in this order, once each")
    if match["expires"] and len(match["expires"]) > _SECONDS_DIGITS:
        _refuse("expires is in seconds since 1970, and not in milliseconds")
    if _NAMED.search(match["chain"]):
        _refuse("a parameter of signed URLs appears twice")
    chain = match["chain"]
    if match["widths"]:
        chain = _covered(chain, WIDTH_PARAMETERS, match["widths"].split(","), "width")
    if match["presets"]:
        chain = _covered(chain, frozenset({"preset"}), match["presets"].split(","), "preset")
    rest = query[len(match["chain"]) : match.start("signature") - len("&signature=")]
    text = f"{canonical(path)}?{chain}{rest}"
    return SignedUrl(text, match["key"], int(match["expires"]) if match["expires"] else None, match["signature"])


def without(query: str) -> str:
    """A raw query without the parameters at the end of a signed URL, which have been verified."""
    match = _SIGNED.fullmatch(query)
    return match["chain"].removesuffix("&") if match else query


def redacted(url: str) -> str:
    """A URL, or a query, for logs: who has the signature has the right."""
    return _SIGNATURE.sub(r"\1-", url)


def canonical(path: str) -> str:
    """The canonical spelling of a path: with the version, and plural."""
    match = _ALIAS.match(path)
    return f"/v1/{'transform' if match[1] == 'transform' else 'images'}{path[match.end() :]}" if match else path


def _covered(chain: str, names: frozenset[str], values: list[str], what: str) -> str:
    """The chain, with `*` in place of the one value that has to be one of `values`."""
    pairs = chain.split("&")
    places = [place for place, pair in enumerate(pairs) if pair.partition("=")[0] in names]
    if len(places) != 1:
        _refuse(f"the signature is for a set of {what}s, so the chain needs one of {', '.join(sorted(names))}, once")
    name, _, value = pairs[places[0]].partition("=")
    if value not in values:
        _refuse(f"the signature is for the {what}s {', '.join(values)}")
    pairs[places[0]] = f"{name}=*"
    return "&".join(pairs)


def _refuse(reason: str) -> NoReturn:
    raise WrongCredential(_NOT_VALID + reason)


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
