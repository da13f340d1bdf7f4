"""Stores an image, transforms it and deletes it again, as `imgsvc doctor --write` does."""

import contextlib
import http
import secrets
import struct
import zlib
from collections.abc import Iterator

import urllib3

from imgsvc.checks.findings import Finding, good, problem
from imgsvc.checks.outside import cached
from imgsvc.checks.requests import Examined, Response

_SIDE = 64


def write(service: Examined) -> Iterator[Finding]:
    """A round trip. The image is deleted, whatever happens."""
    try:
        stored = service.ask("POST", "/v1/images?visibility=public&title=imgsvc+doctor&ttl=3600", body=picture())
    except urllib3.exceptions.HTTPError as error:
        yield problem("write", f"the upload gets no answer: {error}", "look at the log of the storage service")
        return
    if stored.status != http.HTTPStatus.CREATED:
        yield _failed("the upload", stored, "the key needs the scopes `upload` and `delete`; see `imgsvc keys --help`")
        return
    image_id = stored.json["image_id"]
    yield good("write", f"an upload takes {stored.seconds * 1000:.0f} ms")
    path = f"/v1/images/{image_id}"
    try:
        yield from _transformed(service, path)
        yield from cached(service, image_id)
        yield from _deleted(service, path)
    finally:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            service.ask("DELETE", path)


def picture() -> bytes:
    """A PNG that no service has: 64 x 64 pixels of noise."""
    rows = b"".join(b"\0" + secrets.token_bytes(_SIDE * 3) for _ in range(_SIDE))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def _transformed(service: Examined, path: str) -> Iterator[Finding]:
    variant = service.ask("GET", f"{path}.jpg?thumb=16&blur=1")
    if variant.status == http.HTTPStatus.OK and variant.body.startswith(b"\xff\xd8\xff"):
        yield good("write", f"a new variant takes {variant.seconds * 1000:.0f} ms")
    else:
        yield _failed("a variant", variant, "look at the log of the transform service")


def _deleted(service: Examined, path: str) -> Iterator[Finding]:
    deleted = service.ask("DELETE", path)
    if deleted.status != http.HTTPStatus.NO_CONTENT:
        advice = "the key needs the scope `delete`; the image expires within an hour"
        yield _failed("the deletion", deleted, advice)
        return
    for url in (path, f"{path}.webp?thumb=32"):
        answer = service.ask("GET", url, with_key=False)
        if answer.status != http.HTTPStatus.GONE:
            advice = "check PURGE_URLS, and purges of a CDN in front (docs/cdn.md)"
            yield problem("write", f"after the deletion, {url} still answers {answer.status}", advice)
            return
    yield good("write", "the deletion reaches every cache before its answer")


def _failed(what: str, answer: Response, advice: str) -> Finding:
    detail = (
        answer.json.get("detail", "") if isinstance(answer.json, dict) else answer.body[:100].decode("utf-8", "replace")
    )
    return problem("write", f"{what} answers {answer.status}: {detail}", advice)
