"""Makes requests out of valid ones. A seed and a number determine each case."""

import base64
import functools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

from tests import pictures
from tests.hostile.vocabulary import HEADERS, PARAMETERS, PIECES, ROUTES

_NUMBERS = [0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
_CHAINS = [
    *("thumb=20", "rotate=33", "blur=2", "grayscale&thumb=9", "crop=5,5,20x20", "crop=20x20,smart", "autocrop"),
    *("resize=90x10,fill,enlarge", "pixelate=3", "sharpen=1", "flip&flop", "page=1", "compress=30", "rotate=0"),
]
_EXTENSIONS = ["jpg", "png", "webp", "avif", "gif", "tiff", "auto"]
_BOUNDARY = "b0undary"
_MOST = 200_000
"""Bytes of a case."""


@dataclass(frozen=True, slots=True)
class Case:
    """Requests to send in this order. `{id}` is replaced by the ID in the first response's `Location`."""

    kind: str
    requests: tuple[bytes, ...]

    def saved(self) -> str:
        """The case as text."""
        return json.dumps({"kind": self.kind, "requests": [base64.b64encode(each).decode() for each in self.requests]})

    @classmethod
    def load(cls, text: str) -> "Case":
        """The case that was saved."""
        found = json.loads(text)
        return cls(found["kind"], tuple(map(base64.b64decode, found["requests"])))


def case(seed: int, number: int) -> Case:
    """One of endlessly many cases."""
    chance = random.Random(f"{seed} {number}")
    make = chance.choices(list(_KINDS), list(_KINDS.values()))[0]
    return make(chance)


def _upload(chance: random.Random) -> Case:
    """A mutated file, and what can be made of it."""
    body = _mutated(chance, chance.choice(_files()))
    queries = chance.sample(_CHAINS, 2)
    variants = [f"GET /v1/images/{{id}}.{chance.choice(_EXTENSIONS)}?{query}" for query in queries]
    others = ["GET /v1/images/{id}", "GET /v1/images/{id}/info", f"GET /v1/images/{{id}}.{chance.choice(_EXTENSIONS)}"]
    routes = [*variants, *others, "DELETE /v1/images/{id}"]
    posted = _request("POST /v1/images", b"Content-Type: image/jpeg\r\n", body)
    return Case("upload", (posted, *map(_request, routes)))


def _transform(chance: random.Random) -> Case:
    """A mutated file in a form."""
    body = _form(_mutated(chance, chance.choice(_files())))
    route = f"POST /v1/transform?format={chance.choice(_EXTENSIONS)}&{chance.choice(_CHAINS)}"
    return Case("transform", (_request(route, _FORM, body),))


def _multipart(chance: random.Random) -> Case:
    """A mutated form, whole or in chunks."""
    body = _mutated(chance, _form(chance.choice(_files())[:2000]))
    route = chance.choice(["POST /v1/images", "POST /v1/transform?thumb=9"])
    if chance.random() < 0.5:
        size = chance.choice([1, 7, 100, 5000])
        parts = [body[start : start + size] for start in range(0, len(body), size)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
        if chance.random() < 0.3:
            body = _mutated(chance, body)
        return Case("multipart", (_request(route, _FORM + b"Transfer-Encoding: chunked\r\n", body),))
    return Case("multipart", (_request(route, _FORM, body),))


def _headers(chance: random.Random) -> Case:
    """Any headers, on any route of an image that exists."""
    names = chance.choices(HEADERS, k=chance.randint(1, 6))
    headers = b"".join(f"{name}: ".encode() + _line(chance) + b"\r\n" for name in names)
    requests = [
        _posted(),
        _request(chance.choice(ROUTES), headers, _pieces(chance)),
        _request("DELETE /v1/images/{id}"),
    ]
    return Case("headers", tuple(requests))


def _parameters(chance: random.Random) -> Case:
    """Any text as a parameter or as a part of the path."""
    text = _pieces(chance)
    text = quote_from_bytes(text).encode() if chance.random() < 0.5 else text.translate(None, b" \t\r\n\0")
    target = chance.choice(PARAMETERS).encode() + text
    request = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    return Case("parameters", (_posted(), request, _request("DELETE /v1/images/{id}")))


_KINDS: dict[Callable[[random.Random], Case], int] = {
    _upload: 4,
    _transform: 3,
    _multipart: 3,
    _headers: 2,
    _parameters: 2,
}
"""With their weights."""
_FORM = f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n".encode()


def _request(route: str, headers: bytes = b"", body: bytes = b"") -> bytes:
    method, _, target = route.partition(" ")
    host = b"" if b"Host:" in headers else b"Host: x\r\n"
    if body and b"Transfer-Encoding:" not in headers and b"Content-Length:" not in headers:
        headers += b"Content-Length: %d\r\n" % len(body)
    return f"{method} {target} HTTP/1.1\r\n".encode() + host + headers + b"Connection: close\r\n\r\n" + body


def _posted() -> bytes:
    return _request("POST /v1/images", b"Content-Type: image/jpeg\r\n", _files()[0])


def _form(file: bytes) -> bytes:
    start = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
    return (
        f'{start}"image"; filename="x.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'.encode()
        + file
        + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )


def _line(chance: random.Random) -> bytes:
    return _pieces(chance).replace(b"\r", b"").replace(b"\n", b"")


def _pieces(chance: random.Random) -> bytes:
    pieces = chance.choices(PIECES, k=chance.randint(0, 8))
    return b"".join((piece * chance.choice([1, 1, 1, 2, 30, 1000]))[:7000] for piece in pieces)


def _mutated(chance: random.Random, original: bytes) -> bytes:
    body = bytearray(original)
    for _ in range(chance.choice([1, 1, 1, 2, 4, 16])):
        chance.choice(_MUTATIONS)(chance, body)
    return bytes(body[:_MOST])


def _flip(chance: random.Random, body: bytearray) -> None:
    if body:
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)


def _number(chance: random.Random, body: bytearray) -> None:
    place, size = _place(chance, body), chance.choice([1, 2, 4])
    number = chance.choice(_NUMBERS) % 256**size
    body[place : place + size] = number.to_bytes(size, chance.choice(["big", "little"]))


def _noise(chance: random.Random, body: bytearray) -> None:
    place = _place(chance, body)
    body[place : place + chance.randint(0, 40)] = chance.randbytes(chance.randint(0, 40))


def _cut(chance: random.Random, body: bytearray) -> None:
    place = _place(chance, body)
    del body[place : place + chance.choice([1, 4, 100, len(body)])]


def _repeat(chance: random.Random, body: bytearray) -> None:
    place = _place(chance, body)
    body[place:place] = body[place : place + chance.choice([1, 12, 500])] * chance.choice([1, 2, 50])


def _splice(chance: random.Random, body: bytearray) -> None:
    other = chance.choice(_files())
    start, place = chance.randrange(len(other)), _place(chance, body)
    body[place : place + chance.choice([0, 500])] = other[start : start + chance.choice([4, 100, 5000])]


def _piece(chance: random.Random, body: bytearray) -> None:
    place = _place(chance, body)
    body[place:place] = chance.choice([*PIECES, b"\r\n", b"\r\n--" + _BOUNDARY.encode(), b"--"])


_MUTATIONS = (_flip, _number, _noise, _cut, _repeat, _splice, _piece)


def _place(chance: random.Random, body: bytearray) -> int:
    """A place to change, half of the time near the beginning, where headers are."""
    end = min(len(body), 64) if chance.random() < 0.5 else len(body)
    return chance.randrange(end + 1)


@functools.cache
def _files() -> tuple[bytes, ...]:
    """Small valid files of every format, the first a plain JPEG."""
    picture, alpha = pictures.gradient(48, 36), pictures.gradient(48, 36, 4)
    return tuple(
        bytes(file)
        for file in (
            picture.jpegsave_buffer(),
            picture.jpegsave_buffer(interlace=True),
            pictures.gradient(48, 36, 1).jpegsave_buffer(),
            alpha.pngsave_buffer(),
            picture.pngsave_buffer(interlace=True),
            picture.pngsave_buffer(palette=True),
            picture.cast("ushort").pngsave_buffer(bitdepth=16),
            picture.webpsave_buffer(),
            alpha.webpsave_buffer(lossless=True),
            pictures.animation(4, suffix=".webp"),
            picture.gifsave_buffer(),
            pictures.animation(4),
            picture.tiffsave_buffer(),
            picture.tiffsave_buffer(compression="jpeg", tile=True, pyramid=True),
            alpha.tiffsave_buffer(compression="deflate"),
            picture.heifsave_buffer(compression="av1", effort=0),
            alpha.heifsave_buffer(compression="av1", effort=0),
        )
    )
