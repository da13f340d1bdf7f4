"""`rotate=0` lets through only what makes up the picture. Everything else goes, known or not."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tests import pictures
from tests.fidelity.rendering import opened, rendered

SECRET = b"a secret of fifty bytes that nobody may see later on"


def gif_block(label: int, *parts: bytes) -> bytes:
    return bytes([0x21, label]) + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def gif(*blocks: bytes, after: bytes = b"") -> bytes:
    body = pictures.animation(3)
    start = 13 + (3 << (body[10] & 7) + 1 if body[10] & 0x80 else 0)
    return body[:start] + b"".join(blocks) + body[start:-1] + after + b";"


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def chunks(body: bytes, start: int = 12) -> list[tuple[bytes, bytes]]:
    found, position = [], start
    while position + 8 <= len(body):
        name, length = struct.unpack_from("<4sI", body, position)
        found.append((name, body[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
    return found


def webp(*, frames: int = 1, flags: int = 0) -> bytes:
    """A WebP with a chunk that nobody knows, after the canvas, in each frame and at the end."""
    still = bytes(pictures.gradient(16, 12).webpsave_buffer(lossless=True, keep="none"))
    body = pictures.animation(frames, suffix=".webp") if frames > 1 else still
    parts = chunks(body)
    if frames == 1:
        parts = [(b"VP8X", bytes([flags]) + bytes(3) + (15).to_bytes(3, "little") + (11).to_bytes(3, "little")), *parts]
    secret = (b"SECR", SECRET)
    parts = [
        (name, data + b"SECR" + struct.pack("<I", len(SECRET)) + SECRET if name == b"ANMF" else data)
        for name, data in parts
    ]
    return riff(parts[0], secret, *parts[1:], secret, (b"EXIF", SECRET), (b"XMP ", SECRET))


def png() -> bytes:
    body = bytes(pictures.gradient(20, 10).pngsave_buffer())
    extra = [pictures.chunk(name, SECRET) for name in (b"prVt", b"tEXt", b"eXIf", b"zzZz")]
    return body[:33] + b"".join(extra) + body[33:] + SECRET


def segment(mark: int, content: bytes) -> bytes:
    return b"\xff" + bytes([mark]) + struct.pack(">H", 2 + len(content)) + content


def jpeg() -> bytes:
    """A JPEG with a secret in every segment that libjpeg reads and does not need, such as a thumbnail."""
    body = bytes(pictures.gradient(64, 48).jpegsave_buffer(keep="none"))  # has no JFIF segment
    extra = [segment(mark, SECRET) for mark in (0xDC, 0xE1, 0xE5, 0xED, 0xFE)]
    extra += [segment(0xE0, b"JFXX\0\x13" + SECRET), segment(0xEE, b"Adobe" + bytes(6) + b"\1" + SECRET)]
    thumbnail = segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\x11\1" + SECRET[:51])  # 17 pixels
    return b"".join([body[:2], thumbnail, *extra, body[2:-2], segment(0xDC, SECRET), body[-2:], SECRET])


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG that begins with these segments."""
    body = bytes(pictures.gradient(64, 48).jpegsave_buffer(keep="none"))
    extra = [b"\xff" + bytes([mark]) + struct.pack(">H", 2 + len(content)) + content for mark, content in segments]
    return body[:2] + b"".join(extra) + body[2:]


JFIF = b"JFIF\0\1\2\0\0\1\0\1"
THUMBNAIL = bytes([4, 5]) + SECRET.ljust(60)


def png_with(*, palette: bytes = b"", late: tuple[bytes, ...] = (), end: bytes = b"") -> bytes:
    """A PNG in RGB with a suggested palette, chunks after the pixels, and something in its last chunk."""
    body = bytes(pictures.gradient(20, 10).pngsave_buffer())
    place = body.index(b"IDAT") - 4
    start = body[:place] + (pictures.chunk(b"PLTE", palette) if palette else b"") + body[place:-12]
    return start + b"".join(pictures.chunk(name, SECRET) for name in late) + pictures.chunk(b"IEND", end)


def webp_twice() -> bytes:
    """A WebP with a second picture, which nobody shows."""
    ((name, pixels),) = chunks(bytes(pictures.gradient(16, 12).webpsave_buffer(lossless=True, keep="none")))
    return riff((name, pixels), (name, SECRET))


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (gif(gif_block(0xFE, SECRET)), "gif"),
        (gif(gif_block(0xFF, b"XMP DataXMP", SECRET)), "gif"),
        (gif(gif_block(0xFF, b"UNKNOWN1.0!", SECRET)), "gif"),
        (gif(gif_block(0xFF, b"NETSCAPE2.0", b"\1\0\0", SECRET)), "gif"),
        (gif(gif_block(0x77, SECRET)), "gif"),
        (gif(after=gif_block(0xFE, SECRET)), "gif"),
        (gif() + SECRET, "gif"),
        (webp(), "webp"),
        (webp(frames=3), "webp"),
        (webp(flags=0x08 | 0x04), "webp"),
        (webp_twice(), "webp"),
        (png(), "png"),
        (png_with(palette=SECRET[:48]), "png"),
        (png_with(late=(b"PLTE", b"tRNS")), "png"),
        (png_with(end=SECRET), "png"),
        (jpeg(), "jpeg"),
        (jpeg_with((0xE0, JFIF + THUMBNAIL)), "jpeg"),
        (jpeg_with((0xE0, JFIF + bytes(2)), (0xE0, b"JFIF\0" + SECRET)), "jpeg"),
        (jpeg_with((0xE0, JFIF + bytes(2)), (0xE0, b"JFXX\0\x13" + SECRET)), "jpeg"),
        (jpeg_with((0xEE, b"Adobe\0d\0\0\0\0\1" + SECRET)), "jpeg"),
    ],
)
def test_what_is_not_the_picture_goes(tmp_path: Path, body: bytes, output: str) -> None:
    assert SECRET[:48] in body
    stripped = rendered(tmp_path, body, "rotate=0", output)
    assert SECRET[:20] not in stripped
    before, after = opened(body), opened(stripped)
    assert getattr(after, "n_frames", 1) == getattr(before, "n_frames", 1)
    for number in range(getattr(before, "n_frames", 1)):
        before.seek(number)
        after.seek(number)
        assert np.array_equal(np.asarray(before.convert("RGBA")), np.asarray(after.convert("RGBA")))
        assert after.info.get("duration") == before.info.get("duration")
    assert after.info.get("loop") == before.info.get("loop")
