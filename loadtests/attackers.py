"""People who try what should not work. A 4xx is right, and must be quick; a 200 or a 5xx is not."""

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
    "' OR 1=1--".replace(" ", "%20"),
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


def _png(width: int, height: int, *extra: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(bytes((3 * min(width, 8) + 1) * min(height, 8))))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + pixels + _chunk(b"IEND", b"")


def _bombs() -> dict[str, bytes]:
    """Files that must not be accepted by anything."""
    text = b"k\0\0" + zlib.compress(bytes(_TEXT_BYTES), 9)
    return {
        "pixels": _png(_SIDE, _SIDE),
        "text": _png(8, 8, _chunk(b"zTXt", text)),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "empty": b"",
        "noise": bytes(range(256)) * 64,
    }


class Attacker(Visitor):
    """One program that tries things, in turn and by chance."""

    role = "attackers"
    weight = 1
    wait_time = between(0.5, 2)
    bombs = _bombs()

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._files = uploads()

    @task(4)
    def bad_id(self) -> None:
        """An id that is none, or of no image."""
        bad = self.chance.choice((*_BAD_IDS, uuid.uuid4().hex))
        self._attack("GET", f"/v1/images/{bad}.webp?thumb=100", "bad id")

    @task(4)
    def parameter_walk(self) -> None:
        """Values past every limit, of an image that there is."""
        chain = self.chance.choice(_BAD_CHAINS).replace("{above}", str(self.chance.randint(8193, 10**9)))
        self._attack("GET", f"/v1/images/{self.chance.choice(self.entries).image_id}.webp?{chain}", "parameter walk")

    @task(1)
    def bomb(self) -> None:
        """A file that is none, or more than it seems, as an upload or to be transformed."""
        body = self.chance.choice(list(self.bombs.values()))
        if self.chance.random() < 1 / 2:
            self._attack("POST", "/v1/images", "bomb", data=body or b" ", headers={"Content-Type": "image/png"})
        else:
            self._attack("POST", "/v1/transform?thumb=100", "bomb", **form("image", body, "bomb.png"))

    @task(1)
    def broken(self) -> None:
        """Half a photo. It may be stored, since an upload's header alone is read, but not be transformed."""
        if self._files:
            body, _ = self.chance.choice(self._files)
            half = body[: len(body) // 2]
            self._attack("POST", "/v1/transform?resize=800x", "broken", **form("image", half, "half"))

    def _attack(self, method: str, path: str, kind: str, **options: Any) -> None:
        self.ask(method, path, f"attackers {kind}", checks.refused_as_hostile, **options)
