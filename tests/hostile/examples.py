"""Cheap requests that made others wait, exhausted memory or failed with 500. Each represents a kind.

To add one, append an Example to EXAMPLES: `python -m tests.hostile` and `test_examples.py` run them all.
"""

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import quote, urlsplit

import aiohttp

from tests import pictures
from tests.hostile import files
from tests.hostile.files import REFUSED

KIB, MIB = 1024, 1024**2
_LISTENER = socket.create_server(("127.0.0.1", 0))
"""Of the remote servers in the examples. Bound here already, so that no other process can take the port."""
_PORT = _LISTENER.getsockname()[1]
JPEG = pictures.jpeg(64, 48)
NO_ANSWER = 0
"""Stands for a connection that the service closed without a response."""
UNEQUAL = -1
"""Stands for connections that got different responses."""


@dataclass(slots=True)
class Place:
    """A running service."""

    url: str
    image_id: str = ""
    """An image of 64 x 48 pixels."""
    large_id: str = ""
    """An image of 4 MiB."""
    files: Sequence[bytes] = ()
    """Those of the example."""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection."""
        where = urlsplit(self.url)
        return await asyncio.open_connection(where.hostname, where.port)

    async def send(self, *pieces: bytes) -> int:
        """Send raw bytes, and return the status of the response."""
        reader, writer = await self.connect()
        try:
            with suppress(ConnectionError):  # refused before everything was sent
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
            return await status_of(reader)
        finally:
            writer.transport.abort()

    async def get(self, target: str, headers: str = "") -> int:
        """The status of a GET."""
        return await self.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode("latin-1"))

    async def upload(self, body: bytes) -> str:
        """The ID of a new image."""
        types = {"Content-Type": "image/jpeg"}  # the service looks at the bytes
        async with (
            aiohttp.ClientSession(headers=types) as http,
            http.post(f"{self.url}/v1/images", data=io.BytesIO(body)) as answer,
        ):
            return str((await answer.json())["image_id"])

    async def post(self, content_type: str, body: bytes, headers: str = "", path: str = "/v1/images") -> int:
        """The status of a POST."""
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n{headers}"
        length = "" if "Transfer-Encoding" in headers else f"Content-Length: {len(body)}\r\n"
        return await self.send((head + length + "\r\n").encode("latin-1"), body)


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of the next response, or NO_ANSWER."""
    with suppress(ConnectionError):
        line = await reader.readline()
        if line:
            return int(line.split()[1])
    return NO_ANSWER


Attack = Callable[[Place], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Example:
    """Something that a client or a remote server may do."""

    name: str
    attack: Attack
    statuses: set[int]
    """The statuses that it may get."""
    memory: int = 400 * MIB
    """The most bytes that the process tree may use meanwhile."""
    cpu: float = 0.35
    """The most processor seconds that the service may use, without its workers. Unlike waits, they know no load."""
    settings: dict[str, str] = field(default_factory=dict)
    files: Callable[[], Sequence[bytes]] = tuple
    """Makes the files that it needs, before anything is measured."""


def _content_type(text: str) -> Attack:
    return lambda place: place.post(text, b"x")


def _form(body: bytes, boundary: str = "b") -> Attack:
    return lambda place: place.post(f"multipart/form-data; boundary={boundary}", body)


def _header(text: str, target: str = "/v1/images/{id}") -> Attack:
    return lambda place: place.get(target.format(id=place.image_id), text + "\r\n")


async def _upload(place: Place) -> int:
    return await place.post("image/jpeg", place.files[0])


def _rendered(target: str) -> Attack:
    """Upload the files and request `target` of each, in which `{dot}` is a small image. The status of the last."""

    async def attack(place: Place) -> int:
        status = NO_ANSWER
        for body in place.files:
            image_id = await place.upload(body)
            status = await place.get(target.format(id=image_id, dot=place.image_id))
        return status

    return attack


def _url(url: str) -> Attack:
    return lambda place: place.get(f"/v1/transform?thumb=9&url={quote(url)}")


def _chunked(body: bytes) -> Attack:
    return lambda place: place.post("image/jpeg", body, "Transfer-Encoding: chunked\r\n")


_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def _remote(first: bytes, repeated: bytes) -> AsyncIterator[str]:
    """A remote server that sends `first`, then `repeated` until nobody listens."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            writer.write(first)
            while repeated:
                writer.write(repeated)
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(serve, sock=_LISTENER.dup())
    try:
        yield f"http://127.0.0.1:{_PORT}/x"
    finally:
        server.close()


def _from_remote(first: bytes, repeated: bytes = b"") -> Attack:
    async def attack(place: Place) -> int:
        async with _remote(first, repeated) as url:
            return await _url(url)(place)

    return attack


_ALLOWED = {"REMOTE_ALLOWED_NETWORKS": '["127.0.0.0/8"]', "REMOTE_PORTS": str([80, 443, _PORT])}

_PART = b"--b\r\nContent-Disposition: form-data"


def _stalled(data: bytes, number: int) -> Attack:
    """Many connections that send the same, then nothing. The status is that of all, or UNEQUAL."""

    async def attack(place: Place) -> int:
        connections = [await place.connect() for _ in range(number)]
        for _, writer in connections:
            writer.write(data)
        statuses = await asyncio.gather(*(status_of(reader) for reader, _ in connections))
        for _, writer in connections:
            writer.transport.abort()
        return statuses[0] if len(set(statuses)) == 1 else UNEQUAL

    return attack


async def _unread(place: Place) -> int:
    """Many clients that request an image and read nothing, until the service gives up."""
    request = f"GET /v1/images/{place.large_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    connections = [await place.connect() for _ in range(50)]
    for reader, writer in connections:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(request * 8)
        del reader
    await asyncio.gather(*(_until_closed(writer) for _, writer in connections))
    return NO_ANSWER


async def _until_closed(writer: asyncio.StreamWriter) -> None:
    """Wait until the service has closed a connection on which nobody reads."""
    connection = writer.get_extra_info("socket")
    while connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED:
        await asyncio.sleep(0.05)
    writer.transport.abort()


_ESTABLISHED = 1
"""TCP's state, as in Linux's tcp_states.h."""
_IMPATIENT = {"HEADER_SECONDS": "1", "UPLOAD_STALL_SECONDS": "1", "SEND_STALL_SECONDS": "1"}
_HALF_A_FORM = (
    b"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: 10000000\r\n\r\n--b\r\nContent-Disposition: form-data; name=image\r\n\r\n"
) + bytes(1_080_000)
_HALF = b"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 10000000\r\n\r\n" + bytes(
    1_080_000
)

CONTENT_TYPES = [
    ("comments", "(a)" * 2700, {400}),
    ("parentheses", "(" * 4000, {400}),
    ("continuations", "multipart/form-data" + "".join(f";boundary*{n}*=a" for n in range(400)), {400}),
    ("boundary*0*", "multipart/form-data;boundary*0*", {400}),
    ("quotes", 'multipart/form-data; boundary="' + '\\"' * 3000, {400}),
    ("boundary without end", "multipart/form-data; boundary=" + "b" * 7000, {400}),
]
BODIES = [
    ("newlines", b"\n" * 8 * MIB, {400}),
    ("carriage returns", b"\r" * 8 * MIB, {400}),
    ("lines", b"\r\n" * 4 * MIB, {400}),
    ("hyphens", b"--" * 4 * MIB, {400}),
    ("almost boundaries", b"\r\n--bb" * MIB, {400}),
    ("newlines in a file", _PART + b'; name="image"\r\n\r\n' + b"\n" * 8 * MIB, {400}),
    ("newlines after the end", b"--b--\r\n" + b"\n" * 8 * MIB, {400}),
    ("part headers", b"--b\r\n" + b"X-Header: y\r\n" * 100_000, {400}),
    ("a part header", b"--b\r\nContent-Disposition: " + b"form-data; name=" * 500_000, {400}),
    (
        "filename*0*",
        b"--b\r\nContent-Disposition: form-data" + b"; filename*0*=x" * 500 + b"\r\n\r\nx\r\n--b--\r\n",
        {400},
    ),
    ("quotes in a part", _PART + b'; name="' + b'\\";a="' * 650 + b"\r\n\r\n", {400}),
    ("parts", (_PART + b'; name="n"\r\n\r\nx\r\n') * 50_000, {400}),
]
HEADERS = [
    ("a year of twenty digits", "If-Modified-Since: Thu, 01 Jan 99999999999999999999 00:00:00 GMT", {200}),
    ("a day of twenty digits", "If-Modified-Since: Thu, 99999999999999999999 Jan 2026 00:00:00 GMT", {200}),
    ("etags", "\r\n".join(["If-None-Match: " + '"a",' * 2000] * 100), {200, 431}),
    ("half etags", "If-None-Match: " + 'W/"' * 2700, {200}),
    ("a range of 5,000 digits", "Range: bytes=" + "9" * 5000 + "-", {200, 416}),
    ("ranges", "Range: bytes=" + "0-0," * 2000, {200}),
    ("accept", "\r\n".join(["Accept: " + "image/webp;q=0.1," * 480] * 100), {200, 431}),
]
URLS = [
    ("xn--a*", "http://xn--a*/", {400}),
    ("full-width dots", "http://\uff0e\uff0e\uff0e/", {400}),
    ("a label of 2,000 letters", "http://" + "a" * 2000 + "/", {400}),
]
_LITTLE_MEMORY = {"RENDER_MEMORY_BYTES": "256MiB"}
_MANY_TYPES = "\r\n".join(["Accept: " + "image/webp;q=0.1," * 480] * 12)
REMOTES = [
    ("100 Continue", _from_remote(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 3000), {502}),
    ("103 Early Hints", _from_remote(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3000), {502}),
    ("chunks of a byte", _from_remote(_CHUNKED, b"1\r\nx\r\n" * 10_000), {502}),
    ("chunk extensions", _from_remote(_CHUNKED, b"1;" + b"x" * 8000 + b"\r\nx\r\n"), {502}),
    ("an endless chunk extension", _from_remote(_CHUNKED + b"1;", b"x" * 65536), {502}),
    ("an endless status line", _from_remote(b"HTTP/1.1 200 ", b"x" * 65536), {502}),
    ("header lines", _from_remote(_OK, b"X: y\r\n" * 10_000), {502}),
    ("an endless header line", _from_remote(_OK + b"X: ", b"x" * 65536), {502}),
    ("trailers", _from_remote(_CHUNKED + b"1\r\nx\r\n0\r\n", b"X: y\r\n" * 10_000), {502, 415}),
    ("newlines", _from_remote(b"", b"\r\n" * 30_000), {502}),
]


def _one(make: Callable[[], bytes]) -> list[bytes]:
    return [make()]


EXAMPLES = [
    *(Example(f"Content-Type: {name}", _content_type(text), statuses) for name, text, statuses in CONTENT_TYPES),
    *(Example(f"form: {name}", _form(body), statuses) for name, body, statuses in BODIES),
    *(Example(f"header: {name}", _header(text), statuses) for name, text, statuses in HEADERS),
    *(Example(f"url: {name}", _url(text), statuses) for name, text, statuses in URLS),
    *(Example(f"remote: {name}", attack, statuses, settings=_ALLOWED) for name, attack, statuses in REMOTES),
    *(Example(f"file: {name}", _upload, {422}, files=partial(_one, make)) for name, make, _ in REFUSED),
    Example(
        "render: interlaced PNG, 10,000 x 10,000",
        _rendered("/v1/images/{id}.jpg?thumb=9"),
        {503},
        settings=_LITTLE_MEMORY,
        files=lambda: [files.interlaced(10_000, 10_000)],
    ),
    Example(
        "render: watermark of 10,000 x 10,000",
        _rendered("/v1/images/{dot}.png?watermark={id}"),
        {503},
        settings=_LITTLE_MEMORY,
        files=lambda: [files.blank_avif(10_000, 10_000)],
    ),
    Example(
        "render: 20 watermarks of 1,000 x 1,000",
        _rendered("/v1/images/{dot}.png?" + "watermark={id}&" * 20),
        {200},
        files=lambda: [files.blank_avif(1000, 1000)],
    ),
    Example(
        "render: 30 images with profiles of 15 MB",
        _rendered("/v1/images/{id}.jpg?thumb=9"),
        {200},
        cpu=2.0,
        files=lambda: [files.with_large_profile(number) for number in range(30)],
    ),
    Example("path: 60,000 slashes", lambda place: place.get("/" * 60_000), {414}),
    Example("path: 30,000 dots", lambda place: place.get("/" + "./" * 30_000), {414}),
    Example("header: accept, for .auto", _header(_MANY_TYPES, "/v1/images/{id}.auto"), {200}),
    Example("upload: chunks of a byte", _chunked(b"1\r\nx\r\n" * MIB), {400, NO_ANSWER}),
    Example("upload: chunk extensions", _chunked((b"1;" + b"x" * 8000 + b"\r\nx\r\n") * 2000), {400, NO_ANSWER}),
    Example(
        "stalled: 500 halves of a head", _stalled(b"GET / HTTP/1.1\r\nX: ", 500), {408}, cpu=4.0, settings=_IMPATIENT
    ),
    Example("stalled: 150 uploads", _stalled(_HALF, 150), {408}, cpu=4.0, settings=_IMPATIENT),
    Example("stalled: 150 forms", _stalled(_HALF_A_FORM, 150), {408}, cpu=4.0, settings=_IMPATIENT),
    Example("stalled: 50 clients that do not read", _unread, {NO_ANSWER}, cpu=4.0, settings=_IMPATIENT),
]
