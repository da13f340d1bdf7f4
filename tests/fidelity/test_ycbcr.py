"""TIFFs with YCbCr colours that are not JPEG-compressed (TIFF 6.0, section 21), compared with the formulas there."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service_kit.errors import UnprocessableImage
from tests.fidelity.rendering import rendered, values
from tests.files import header_of

WIDTH, HEIGHT = 32, 24
LUMA = (0.2125, 0.7154, 0.0721)
STUDIO = (16, 235, 128, 240, 128, 240)
USUAL = (0, 255, 128, 255, 128, 255)
DEFLATE = 8


def planes(across: int, down: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(across + 10 * down)
    small = (HEIGHT // down, WIDTH // across)
    return random.integers(40, 200, (HEIGHT, WIDTH)), random.integers(90, 160, small), random.integers(90, 160, small)


def units(across: int, down: int) -> bytes:
    """The samples as they are stored: those of a block's brightness, then its two colours."""
    y, cb, cr = (plane.astype(np.uint8) for plane in planes(across, down))
    return b"".join(
        y[row : row + down, column : column + across].tobytes()
        + bytes([cb[row // down, column // across], cr[row // down, column // across]])
        for row in range(0, HEIGHT, down)
        for column in range(0, WIDTH, across)
    )


def tiff(
    across: int, down: int, *, order: str = "<", packed: bool = False, luma: tuple[float, ...] = (),
    reference: tuple[float, ...] = (), bits: int = 8, planar: int = 1, said: bool = True,
) -> bytes:  # fmt: skip
    """A TIFF with one strip."""
    data = zlib.compress(units(across, down)) if packed else units(across, down)
    fields = [
        (256, "H", [WIDTH]), (257, "H", [HEIGHT]), (258, "H", [bits] * 3), (259, "H", [DEFLATE if packed else 1]),
        (262, "H", [6]), (273, "I", [0]), (277, "H", [3]), (278, "H", [HEIGHT]), (279, "I", [len(data)]),
        (284, "H", [planar]),
    ]  # fmt: skip
    fields += [(529, "Q", luma)] if luma else []
    fields += [(530, "H", [across, down])] if said else []
    fields += [(532, "Q", reference)] if reference else []
    start = 8 + 2 + 12 * len(fields) + 4
    entries, extra = b"", b""
    end = start + sum(8 * len(content) for _, kind, content in fields if kind == "Q") + 6
    for tag, kind, content in fields:
        if kind == "Q":
            body = b"".join(struct.pack(order + "II", round(each * 10000), 10000) for each in content)
        else:
            body = struct.pack(f"{order}{len(content)}{kind}", *([end] if tag == 273 else content))
        if len(body) > 4:
            extra, body = extra + body, struct.pack(order + "I", start + len(extra))
        code = {"H": 3, "I": 4, "Q": 5}[kind]
        entries += struct.pack(order + "HHI", tag, code, len(content)) + body.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(fields))
    return head + entries + bytes(4) + extra + data


def wanted(across: int, down: int, luma: tuple[float, ...] = (), reference: tuple[float, ...] = ()) -> np.ndarray:
    red, green, blue = luma or (0.299, 0.587, 0.114)
    low_y, high_y, low_b, high_b, low_r, high_r = reference or USUAL
    y, cb, cr = planes(across, down)
    y = (y - low_y) * 255 / (high_y - low_y)
    cb = np.kron((cb - low_b) * 127 / (high_b - low_b), np.ones((down, across)))
    cr = np.kron((cr - low_r) * 127 / (high_r - low_r), np.ones((down, across)))
    r, b = cr * (2 - 2 * red) + y, cb * (2 - 2 * blue) + y
    return np.clip(np.dstack([r, (y - blue * b - red * r) / green, b]), 0, 255)


@pytest.mark.parametrize("luma", [(), LUMA])
@pytest.mark.parametrize("reference", [(), STUDIO])
@pytest.mark.parametrize(("across", "down"), [(1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)])
def test_ycbcr_becomes_rgb(
    tmp_path: Path, across: int, down: int, reference: tuple[float, ...], luma: tuple[float, ...]
) -> None:
    """libtiff, which converts what is subsampled, rounds in between if there are reference values."""
    body = tiff(across, down, luma=luma, reference=reference)
    found = values(rendered(tmp_path, body, "rotate=0"))[:, :, :3]
    most = 3.1 if reference and across * down > 1 else 0.51
    assert np.abs(found - wanted(across, down, luma, reference)).max() <= most
    half = values(rendered(tmp_path, body, "resize=16x12,fill"))[:, :, :3].astype(float)
    assert np.abs(half.mean((0, 1)) - found.mean((0, 1))).max() < 2
    for other in ({"packed": True}, {"order": ">"}):
        body = tiff(across, down, luma=luma, reference=reference, **other)
        assert np.array_equal(values(rendered(tmp_path, body, "rotate=0"))[:, :, :3], found)


def test_colours_have_half_the_size_if_nothing_is_said(tmp_path: Path) -> None:
    found = values(rendered(tmp_path, tiff(2, 2, said=False), "rotate=0"))[:, :, :3]
    assert np.abs(found - wanted(2, 2)).max() < 1


def test_pillow_writes_the_same(tmp_path: Path) -> None:
    picture = Image.new("RGB", (32, 24), (200, 100, 50))
    body = io.BytesIO()
    picture.convert("YCbCr").save(body, "TIFF")
    assert np.abs(values(rendered(tmp_path, body.getvalue(), "rotate=0")).astype(int) - (200, 100, 50)).max() <= 1


@pytest.mark.parametrize(
    "options",
    [{"bits": 16}, {"planar": 2}, {"luma": (0.5, 0.0, 0.5)}, {"reference": (0, 0, 128, 255, 128, 255)}],
    ids=["16 bits", "planes", "no green", "no range"],
)
def test_unusual_kinds_are_refused(tmp_path: Path, options: dict[str, int]) -> None:
    (tmp_path / "file").write_bytes(tiff(1, 1, **options))
    with pytest.raises(UnprocessableImage, match="save it as RGB"):
        header_of(tmp_path / "file")


def test_an_unknown_subsampling_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(tiff(1, 4))
    with pytest.raises(UnprocessableImage, match="save it as RGB"):
        header_of(tmp_path / "file")
