"""Bytes behind the end of a file do no harm, and do not get out with `rotate=0`."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import pictures
from tests.fidelity.rendering import opened, rendered
from tests.fidelity.test_stripping import SECRET, chunks, gif_block, riff

SIZE = (64, 48)


def saved(suffix: str, **options: object) -> bytes:
    body = io.BytesIO()
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    picture = Image.fromarray(np.dstack([4 * x, 5 * y, 2 * (x + y)]).astype(np.uint8))
    picture.save(body, suffix, **options)
    return body.getvalue()


WHOLE = {
    "jpeg": saved("JPEG"),
    "progressive jpeg": saved("JPEG", progressive=True),
    "png": saved("PNG"),
    "interlaced png": bytes(pictures.gradient(*SIZE).pngsave_buffer(interlace=True)),
    "gif": saved("GIF"),
    "animated gif": pictures.animation(3),
    "webp": saved("WEBP"),
    "lossless webp": saved("WEBP", lossless=True),
    "animated webp": pictures.animation(3, suffix=".webp"),
    "tiff": saved("TIFF"),
    "lzw tiff": saved("TIFF", compression="tiff_lzw"),
    "avif": saved("AVIF"),
}
TAILS = {
    "text": SECRET,
    "zeros": bytes(5000),
    "a zero": b"\0",
    "a line feed": b"\r\n",
    "another image": saved("JPEG") + saved("PNG"),
    "a form": b"\r\n--boundary--\r\n",
    "a video": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + SECRET,
    "noise": np.random.default_rng(1).bytes(3000),
}


def pixels(body: bytes) -> list[np.ndarray]:
    image = opened(body)
    found = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        found.append(np.asarray(image.convert("RGBA")).astype(int))
    return found


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("name", WHOLE)
def test_bytes_behind_the_end_do_no_harm(tmp_path: Path, name: str, tail: str) -> None:
    """Every path gives what it gives without them, and none of them."""
    whole, fmt = WHOLE[name], name.rpartition(" ")[2]
    for chain, output in (("rotate=0", fmt), ("thumb=20", "png"), ("rotate=90", fmt), ("flip", "webp")):
        found, wanted = (rendered(tmp_path, body, chain, output) for body in (whole + TAILS[tail], whole))
        assert found == wanted
        assert SECRET[:20] not in found


def hidden_in_png(name: str) -> bytes:
    """A PNG with a chunk that no decoder needs, with a name that one knows."""
    body = WHOLE["png"]
    end = body.index(b"IEND") - 4
    start = body.index(b"IDAT") - 4
    return {
        "end": body[:end] + pictures.chunk(b"IEND", SECRET),
        "transparency": body[:start] + pictures.chunk(b"tRNS", bytes([9, 9, 9, 9, 9, 9]) + SECRET) + body[start:],
        "late transparency": body[:end] + pictures.chunk(b"tRNS", bytes(6)[:2] + SECRET) + body[end:],
        "palette": body[:start] + pictures.chunk(b"PLTE", SECRET + bytes(-len(SECRET) % 3)) + body[start:],
        "late palette": body[:end] + pictures.chunk(b"PLTE", SECRET + bytes(-len(SECRET) % 3)) + body[end:],
    }[name]


def hidden_in_webp(name: str) -> bytes:
    """A WebP with bytes in chunks that are known, where no decoder looks at them."""
    still, moving = chunks(WHOLE["webp"]), chunks(WHOLE["animated webp"])
    canvas = bytes(4) + struct.pack("<I", SIZE[0] - 1)[:3] + struct.pack("<I", SIZE[1] - 1)[:3]
    return {
        "canvas": riff((b"VP8X", canvas + SECRET), *still),
        "animation": riff(*((kind, data + SECRET if kind == b"ANIM" else data) for kind, data in moving)),
        "alpha": riff((b"VP8X", canvas), *still, (b"ALPH", SECRET)),
    }[name]


def hidden_in_gif() -> bytes:
    """A GIF with an extension whose first block is longer than its kind has."""
    body = WHOLE["animated gif"]
    start = 13 + (3 << (body[10] & 7) + 1 if body[10] & 0x80 else 0)
    return body[:start] + gif_block(0xF9, bytes(4), SECRET) + body[start:]


IN_PNG = ["end", "transparency", "late transparency", "palette", "late palette"]
HIDDEN = {f"png {name}": ("png", hidden_in_png(name)) for name in IN_PNG}
HIDDEN |= {f"webp {name}": ("webp", hidden_in_webp(name)) for name in ("canvas", "alpha")}
HIDDEN["webp animation"] = ("animated webp", hidden_in_webp("animation"))
HIDDEN["gif control"] = ("animated gif", hidden_in_gif())


@pytest.mark.parametrize(("whole", "body"), HIDDEN.values(), ids=HIDDEN)
def test_bytes_that_no_decoder_looks_at_go(tmp_path: Path, whole: str, body: bytes) -> None:
    assert SECRET in body
    stripped = rendered(tmp_path, body, "rotate=0", whole.rpartition(" ")[2])
    assert SECRET[:20] not in stripped
    for found, wanted in zip(pixels(stripped), pixels(WHOLE[whole]), strict=True):
        assert np.array_equal(found, wanted)
