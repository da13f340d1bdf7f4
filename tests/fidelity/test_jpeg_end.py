"""A JPEG that lost only its end marker has lost no pixel: it is served. One that lost pixels is refused."""

import io
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from imaging import jpeg_segments
from service_kit.errors import UnprocessableImage
from tests.fidelity.rendering import opened, rendered, values
from tests.files import header_of

END = b"\xff\xd9"
WIDTH, HEIGHT = 331, 261
SECRET = b"a secret of fifty bytes that nobody may see later on"


def picture(mode: str) -> Image.Image:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    noise = np.random.default_rng(3).integers(0, 60, (HEIGHT, WIDTH, 4))
    bands = np.dstack([x * 255 // WIDTH, y * 255 // HEIGHT, (3 * x + 5 * y) % 256, x % 256]) // 2 + noise
    bands = bands.astype(np.uint8)
    return Image.fromarray({"L": bands[:, :, 0], "RGB": bands[:, :, :3], "CMYK": bands}[mode], mode)


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    body = io.BytesIO()
    picture(mode).save(body, "JPEG", **options)
    assert body.getvalue().endswith(END)
    return body.getvalue()


def blank() -> bytes:
    """A white page with some text above: its data ends with zeros."""
    page = (pyvips.Image.black(800, 900, bands=1) + 255).cast("uchar").copy(interpretation="b-w")
    page = page.draw_rect([0.0], 20, 20, 90, 10, fill=True)
    body = bytes(page.jpegsave_buffer(optimize_coding=True, keep="none"))
    assert body[-12:-3] == bytes(9)
    return body


KINDS = {
    "baseline": jpeg(),
    "optimized": jpeg(optimize=True),
    "4:4:4": jpeg(subsampling=0),
    "4:2:2": jpeg(subsampling=1),
    "progressive": jpeg(progressive=True),
    "progressive 4:4:4": jpeg(progressive=True, subsampling=0, quality=95),
    "grey": jpeg("L"),
    "grey progressive": jpeg("L", progressive=True),
    "CMYK": jpeg("CMYK"),
    "restarts": jpeg(restart_marker_blocks=4),
    "restarts progressive": jpeg(progressive=True, restart_marker_rows=1),
    "blank": blank(),
}
ENDINGS = {
    "no end": b"",
    "half an end": b"\xff",
    "fill": b"\xff\xff\xff",
    "a zero": b"\0",
    "zeros": bytes(511),
    "many zeros": bytes(20_000),
    "text": SECRET,
    "a marker": b"\xff\x3a" + SECRET,
    "a broken segment": b"\xff\xe7\x20\x20" + SECRET,
    "half a segment": b"\xff\xda\0",
    "a comment": b"\xff\xfe\0\x05abc",
    "noise": b"\x10\x80" + np.random.default_rng(8).bytes(3000),
}


EXACT = set(ENDINGS) - {"a zero", "text", "noise"}
"""Those of which it is clear that they are not in the pixels."""


FLAT = {("blank", "zeros"), ("blank", "many zeros")}
"""Zeros that may be pixels."""


def without_end(kind: str, ending: str) -> bytes:
    return KINDS[kind][:-2] + ENDINGS[ending]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_its_end_is_served(tmp_path: Path, kind: str, ending: str) -> None:
    """Through the whole decoder, the decoder that scales, and the one for progressive files."""
    body, whole = without_end(kind, ending), KINDS[kind]
    for chain in ("flip&flip&rotate=180", "thumb=150", "thumb=80", "thumb=41", "crop=50,40,100x90"):
        assert np.array_equal(values(rendered(tmp_path, body, chain)), values(rendered(tmp_path, whole, chain)))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "CMYK"])
def test_the_pixels_of_a_file_without_its_end_stay_encoded(tmp_path: Path, kind: str, ending: str) -> None:
    """Unless bytes are in front of the end that may belong to no pixel: those must not get out."""
    stripped, whole = rendered(tmp_path, without_end(kind, ending), "rotate=0", "jpeg"), KINDS[kind]
    assert stripped.endswith(END)
    assert SECRET[:20] not in stripped
    found, wanted = (np.asarray(opened(body).convert("RGB")).astype(int) for body in (stripped, whole))
    if ending in EXACT and (kind, ending) not in FLAT:
        assert np.array_equal(found, wanted)
    assert np.abs(found - wanted).mean() < 15


@pytest.mark.parametrize("lost", [1, 2, 3, 10, 100, 1000, 3000])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "blank"])
@pytest.mark.parametrize(
    "after",
    [b"", b"\xff", b"\0\0", bytes(100), bytes(600), bytes(5000), b"\xff\x3a" + SECRET, b"\xff\xda\0"],
    ids=["nothing", "half an end", "2 zeros", "100 zeros", "600 zeros", "5000 zeros", "garbage", "half a segment"],
)
def test_a_file_that_lost_pixels_is_refused(tmp_path: Path, kind: str, lost: int, after: bytes) -> None:
    (tmp_path / "file").write_bytes(KINDS[kind][: -2 - lost] + after)
    with pytest.raises(UnprocessableImage):
        header_of(tmp_path / "file")


@pytest.mark.parametrize("kind", ["progressive", "grey progressive", "progressive 4:4:4"])
def test_a_progressive_file_that_lost_whole_scans_is_refused(tmp_path: Path, kind: str) -> None:
    """libjpeg does not notice: it shows what there is."""
    body = KINDS[kind]
    scans = [each for each in jpeg_segments.segments(body) if each.marker == jpeg_segments.SCAN]
    for scan in scans[:-1]:
        for end in (b"", END):
            (tmp_path / "file").write_bytes(body[: scan.end] + end)
            with pytest.raises(UnprocessableImage, match="before all scans are complete"):
                header_of(tmp_path / "file")


def test_a_file_with_a_scan_for_each_colour_that_lost_one_is_refused(tmp_path: Path) -> None:
    body = separate()
    scans = [each for each in jpeg_segments.segments(body) if each.marker == jpeg_segments.SCAN]
    assert len(scans) == 3
    (tmp_path / "file").write_bytes(body[:-2])
    header_of(tmp_path / "file")
    for scan in scans[:-1]:
        (tmp_path / "file").write_bytes(body[: scan.end])
        with pytest.raises(UnprocessableImage, match="before all scans are complete"):
            header_of(tmp_path / "file")


def separate() -> bytes:
    """A baseline file with a scan for each colour, made of three grey ones (B.2.3)."""
    planes = [jpeg("L") for _ in range(3)]
    found = list(jpeg_segments.segments(planes[0]))
    head = b"".join(
        planes[0][each.start : each.end]
        for each in found
        if each.marker in {jpeg_segments.QUANTISATION, jpeg_segments.HUFFMAN_TABLES}
    )
    frame = b"\xff\xc0\0\x11\x08" + HEIGHT.to_bytes(2) + WIDTH.to_bytes(2) + b"\3\1\x11\0\2\x11\0\3\x11\0"
    (scan,) = [each for each in found if each.marker == jpeg_segments.SCAN]
    coded = planes[0][scan.coded : scan.end]
    scans = b"".join(b"\xff\xda\0\x08\1" + bytes([number]) + b"\0\0\x3f\0" + coded for number in (1, 2, 3))
    return planes[0][:2] + head + frame + scans + END


def test_a_file_that_another_one_follows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(jpeg()[:-2] + jpeg())
    with pytest.raises(UnprocessableImage, match="it has no end"):
        header_of(tmp_path / "file")


def test_a_file_that_ends_in_its_head_is_refused(tmp_path: Path) -> None:
    body = jpeg()
    found = list(jpeg_segments.segments(body))
    scan = next(each for each in found if each.marker == jpeg_segments.SCAN)
    for end in range(3, scan.coded + 1):
        (tmp_path / "file").write_bytes(body[:end])
        with pytest.raises(UnprocessableImage):
            header_of(tmp_path / "file")


@pytest.mark.parametrize("chain", ["flip", "rotate=180", "thumb=150", "thumb=41", "rotate=0"])
@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_padding_before_the_end_does_no_harm(tmp_path: Path, kind: str, chain: str) -> None:
    """libjpeg warns of it, and pyvips may clear the text of the warning before anybody has read it."""
    body = KINDS[kind][:-2] + bytes(9) + END
    assert np.array_equal(values(rendered(tmp_path, body, chain)), values(rendered(tmp_path, KINDS[kind], chain)))
