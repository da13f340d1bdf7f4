"""An origin that costs nothing: `python -m benchmarks.edge.origin PORT` answers each URL with 15 kB.

Its headers are those of our services. In `Xkey` it says what stands in the path after `/v1/images/`.
"""

import asyncio
import re
import sys

BODY = bytes(15_000)
_ID = re.compile(rb"GET /v1/images/([0-9a-f]+)")
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: image/webp\r\nContent-Length: %d\r\nXkey: image-%s\r\n"
    b'ETag: "0123456789abcdef"\r\nCache-Control: public, max-age=31536000, immutable\r\n'
    b"Content-Security-Policy: default-src 'none'; sandbox\r\nServer-Timing: queue;dur=0.1, source;dur=0.2\r\n"
    b"API-Version: 1\r\nX-Request-ID: 0123456789abcdef\r\nX-Content-Type-Options: nosniff\r\n"
    b"Access-Control-Allow-Origin: *\r\nTiming-Allow-Origin: *\r\n\r\n"
)


class _Origin(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, self._received = self._received[:end], self._received[end + 4 :]
            match = _ID.match(head)
            assert isinstance(self._transport, asyncio.Transport)
            self._transport.write(_HEAD % (len(BODY), match[1] if match else b"none") + BODY)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Origin, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
