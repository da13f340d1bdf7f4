"""An origin that costs nothing: `python -m benchmarks.edge.origin PORT` answers every request with 15 kB.

Its headers are those of our services. Pictures whose ID begins with PRIVATE are private, and every credential is right.
"""

import asyncio
import sys

_BODY = bytes(15_000)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: image/webp\r\nContent-Length: %d\r\nXkey: image-0123456789abcdef\r\n"
    b'ETag: "0123456789abcdef"\r\nCache-Control: public, max-age=31536000, immutable\r\n'
    b"Content-Security-Policy: default-src 'none'; sandbox\r\nServer-Timing: queue;dur=0.1, source;dur=0.2\r\n"
    b"API-Version: 1\r\nX-Request-ID: 0123456789abcdef\r\nX-Content-Type-Options: nosniff\r\n"
    b"Access-Control-Allow-Origin: *\r\nTiming-Allow-Origin: *\r\n\r\n%b"
) % (len(_BODY), _BODY)


PRIVATE = "fedcba"
_PRIVATE_ANSWER = _ANSWER.replace(b"\r\n\r\n", b"\r\nViewers: space-shop\r\n\r\n", 1)
_GRANT = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nGrant: space-shop\r\nGrant-Until: 9999999999\r\n"
    b"Cache-Control: max-age=2\r\nAPI-Version: 1\r\nX-Request-ID: 0123456789abcdef\r\n\r\n"
)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not reader.at_eof():
        request = await reader.readuntil(b"\r\n\r\n")
        if request.startswith(b"GET /internal/access"):
            writer.write(_GRANT)
        else:
            writer.write(_PRIVATE_ANSWER if PRIVATE.encode() in request else _ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
