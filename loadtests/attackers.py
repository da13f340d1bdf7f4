"""People who try what should not work. A 4xx is right and must be fast; a 200 or a 5xx is wrong."""

import struct
import uuid
import zlib
from typing import Any

from locust import between, task

from loadtests import checks
from loadtests.visitor import Visitor, form, uploads

_BAD_IDS = (
    "zzz",
    "0" * 32,
    "0" * 31,
    "A" * 32,
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "'%20OR%201=1--",
    "a" * 4000,
)
_BAD_CHAINS = (
    "thumb={above}",
    "resize={above}x{above},enlarge",
    "blur={above}",
    "crop=0,0,{above}x{above},x",
    "rotate=nan&thumb={above}",
    "nope={above}",
    "watermark={above}",
    "compress={above}",
    "page=-{above}",
    "&".join(["flip"] * 21),
    "thumb=%ff{above}",
    "x=" + "a" * 9000,
)
_SIDE = 30_000
_TEXT_BYTES = 60_000_000


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(side: int, *extra: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(bytes(25 * 8)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + pixels + _chunk(b"IEND", b"")


class Attacker(Visitor):
    """One program that tries things at random."""

    role = "attackers"
    weight = 1
    wait_time = between(0.5, 2)
    bombs = (
        _png(_SIDE),
        _png(8, _chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(_TEXT_BYTES), 9))),
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        b"",
        bytes(range(256)) * 64,
    )
    """Files that nothing may accept."""

    @task(4)
    def bad_id(self) -> None:
        """Request something that is not an image ID, or is the ID of no image."""
        bad = self.chance.choice((*_BAD_IDS, uuid.uuid4().hex))
        self._attack("GET", f"/v1/images/{bad}.webp?thumb=100", "bad id")

    @task(4)
    def parameter_walk(self) -> None:
        """Request values beyond every limit, of an existing image."""
        chain = self.chance.choice(_BAD_CHAINS).replace("{above}", str(self.chance.randint(16_384, 10**9)))
        self._attack("GET", f"/v1/images/{self.chance.choice(self.entries).image_id}.webp?{chain}", "parameter walk")

    @task(1)
    def bomb(self) -> None:
        """Upload or transform a file that is not an image, or larger than it looks."""
        body = self.chance.choice(self.bombs)
        if self.chance.random() < 1 / 2:
            self._attack("POST", "/v1/images", "bomb", data=body or b" ", headers={"Content-Type": "image/png"})
        else:
            self._attack("POST", "/v1/transform?thumb=100", "bomb", **form("image", body, "bomb.png"))

    @task(1)
    def broken(self) -> None:
        """Transform half a photo. An upload of it may succeed, since only the header is read."""
        body, _ = self.chance.choice(uploads())
        self._attack("POST", "/v1/transform?resize=800x", "broken", **form("image", body[: len(body) // 2], "half"))

    def _attack(self, method: str, path: str, kind: str, **options: Any) -> None:
        self.ask(method, path, kind, checks.rejected, **options)
