"""Files may describe their colours without an ICC profile: PNG with chunks, AVIF with code points."""

import io
import struct
import zlib
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from imaging.av1 import SequenceColours, sequence_colours
from imaging.colours import Colours, coded
from imaging.formats import FORMATS
from imaging.isobmff import boxes
from imaging.pixels.colour import described
from tests.fidelity.rendering import opened, rendered, values

SRGB = ImageCms.createProfile("sRGB")
P3_PROFILE = bytes(pyvips.Image.profile_load("p3"))
COLOUR = (200, 60, 60)
IN_P3 = (217, 42, 52)
"""What the colour is in sRGB if it is meant as Display P3."""
ADOBE = (0.3127, 0.3290, 0.6400, 0.3300, 0.2100, 0.7100, 0.1500, 0.0600)
DISPLAY_P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
QUERIES = ["rotate=0", "rotate=90", "thumb=20", "thumb=20&blur=1"]


def chunk(name: bytes, content: bytes, *, broken: bool = False) -> bytes:
    check = zlib.crc32(name + content) ^ broken
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def png(colour: tuple[int, ...], *chunks: bytes, bits: int = 8) -> bytes:
    """A PNG of one colour, with chunks between IHDR and IDAT. One, three or four bands."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[len(colour)]
    row = b"\0" + struct.pack(f">{len(colour)}{'B' if bits == 8 else 'H'}", *colour) * 40
    parts = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 30, bits, kind, 0, 0, 0)),
        *chunks,
        chunk(b"IDAT", zlib.compress(row * 30)),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gama(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chrm(places: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in places)))


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile))


SRGB_CHUNK = chunk(b"sRGB", b"\0")


def encoded(light: float) -> int:
    """A linear value as an sRGB sample."""
    return round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))


def adobe_rgb(colour: tuple[int, ...]) -> tuple[int, ...]:
    """What a colour in Adobe RGB (1998) is in sRGB, with the matrices of its specification."""
    light = np.array([(value / 255) ** 2.2 for value in colour])
    to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    to_srgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    return tuple(encoded(min(1, max(0, value))) for value in to_srgb @ to_xyz @ light)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        ([], COLOUR),
        ([SRGB_CHUNK], COLOUR),
        ([gama(0.45455)], COLOUR),
        ([gama(0.45455), chrm(SRGB_PRIMARIES)], COLOUR),
        ([chrm(SRGB_PRIMARIES)], COLOUR),
        ([gama(1.0)], tuple(encoded(value / 255) for value in COLOUR)),
        ([gama(1 / 1.8)], tuple(encoded((value / 255) ** 1.8) for value in COLOUR)),
        ([gama(0.45455), chrm(ADOBE)], adobe_rgb(COLOUR)),
        ([chrm(DISPLAY_P3)], IN_P3),
        ([iccp(P3_PROFILE)], IN_P3),
        ([cicp(12, 13)], IN_P3),
        ([cicp(1, 13)], COLOUR),
        ([cicp(1, 1)], COLOUR),
        ([cicp(2, 2)], COLOUR),
        ([cicp(1, 8)], tuple(encoded(value / 255) for value in COLOUR)),
        ([cicp(1, 4)], tuple(encoded((value / 255) ** 2.2) for value in COLOUR)),
        # What comes first in the specification wins, in whatever order it is written.
        ([cicp(12, 13), SRGB_CHUNK, gama(1.0)], IN_P3),
        ([SRGB_CHUNK, cicp(12, 13)], IN_P3),
        ([cicp(1, 13), iccp(P3_PROFILE)], COLOUR),
        ([iccp(P3_PROFILE), cicp(1, 13)], COLOUR),
        ([iccp(P3_PROFILE), gama(1.0)], IN_P3),
        ([SRGB_CHUNK, gama(1.0), chrm(DISPLAY_P3)], COLOUR),
        ([gama(1.0), chrm(DISPLAY_P3), SRGB_CHUNK], COLOUR),
        # What makes no sense does not count.
        ([cicp(12, 13, matrix=1)], COLOUR),
        ([cicp(12, 13, matrix=1), chrm(DISPLAY_P3)], IN_P3),
        ([cicp(77, 99)], COLOUR),
        ([gama(0)], COLOUR),
        ([chrm((0.0,) * 8)], COLOUR),
        ([chrm((0.3127, 0.3290) * 4)], COLOUR),
        ([chrm((0.70673, 0.3, 0.75, 0.29, 0.7, 0.34, 0.66, 0.28))], COLOUR),
        ([chrm((0.04086, 0.27638, 0.24086, 0.12638, 0, 0.47638, 0, 0.07638))], COLOUR),
        ([chunk(b"gAMA", b"\0\1")], COLOUR),
        ([chunk(b"cICP", b"\x0c")], COLOUR),
        ([chunk(b"cICP", bytes([12, 13, 0, 1]), broken=True)], COLOUR),
        ([iccp(b"no profile"), gama(1.0)], tuple(encoded(value / 255) for value in COLOUR)),
        # Samples from 16 to 235.
        ([cicp(1, 13, full=0)], tuple(round((value - 16) / 219 * 255) for value in COLOUR)),
    ],
)
def test_png_chunks_in_the_order_of_the_specification(
    tmp_path: Path, chunks: list[bytes], wanted: tuple[int, ...], query: str
) -> None:
    for extra in ((), (128,)):
        found = values(rendered(tmp_path, png((*COLOUR, *extra), *chunks), query))[10, 10]
        assert np.abs(found.astype(int) - (*wanted, *extra)).max() <= 1, found
    sixteen = values(rendered(tmp_path, png(tuple(257 * value for value in COLOUR), *chunks, bits=16), query))
    assert np.abs(sixteen[10, 10].astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("extra", [(), (128,)])
def test_grey_with_a_gamma_stays_grey(tmp_path: Path, query: str, bits: int, extra: tuple[int, ...]) -> None:
    colour = tuple(value * (257 if bits == 16 else 1) for value in (100, *extra))
    body = png(colour, gama(1.0), bits=bits)
    found = values(rendered(tmp_path, body, query))
    assert found.shape[2] == 1 + len(extra)
    assert np.abs(found[10, 10].astype(int) - (encoded(100 / 255), *extra)).max() <= 1


@pytest.mark.parametrize("gamma", [2.0, 1.0, 0.5])
@pytest.mark.parametrize("bits", [8, 16])
def test_dark_greys_are_exact(tmp_path: Path, gamma: float, bits: int) -> None:
    """littleCMS' table for grey has 33 values."""
    for value in (1, 2, 3, 8, 20, 200):
        found = values(
            rendered(tmp_path, png((value * (257 if bits == 16 else 1),), gama(gamma), bits=bits), "rotate=0")
        )
        assert abs(int(found[5, 5, 0]) - encoded((value / 255) ** (1 / gamma))) <= 1


@pytest.mark.parametrize("name", ["gamma", "table"])
def test_grey_profiles_are_exact(tmp_path: Path, name: str) -> None:
    """Photoshop's profiles for grey have a gamma; those of dot gain have a table."""
    curve = {
        "gamma": b"curv" + bytes(4) + struct.pack(">IH", 1, round(1.8 * 256)) + bytes(2),
        "table": b"curv"
        + bytes(4)
        + struct.pack(">I256H", 256, *(round(65535 * (n / 255) ** 1.8) for n in range(256))),
    }[name]
    tags = {b"kTRC": curve, b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)}
    start, table, contents = 132 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        table += struct.pack(">4sII", tag, start + len(contents), len(content))
        contents += content
    head = struct.pack(">8xI4s4s4s12x4s28x12s48x", 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp", tags[b"wtpt"][8:])
    profile = head + struct.pack(">I", len(tags)) + table + contents
    profile = struct.pack(">I", len(profile)) + profile[4:]
    for value in (2, 10, 90, 250):
        found = values(rendered(tmp_path, png((value,), iccp(profile)), "rotate=0"))
        assert abs(int(found[5, 5, 0]) - encoded((value / 255) ** (461 / 256))) <= 1


def test_a_stripped_png_shows_what_it_did(tmp_path: Path) -> None:
    body = rendered(tmp_path, png(COLOUR, gama(1.0), chrm(DISPLAY_P3)), "rotate=0")
    assert not {"gamma", "chromaticity", "srgb", "icc_profile"} & opened(body).info.keys()
    assert tuple(values(body)[0, 0]) != COLOUR
    plain = png(COLOUR, SRGB_CHUNK)
    assert tuple(values(rendered(tmp_path, plain, "rotate=0"))[0, 0]) == COLOUR


def avif(colour: tuple[int, ...], primaries: int, transfer: int, **options: object) -> bytes:
    """An AVIF of one colour, with code points instead of libvips' own."""
    image = (pyvips.Image.black(64, 64, bands=len(colour)) + colour).cast("uchar").copy(interpretation="srgb")
    body = bytearray(image.heifsave_buffer(compression="av1", lossless=True, **options))
    place = body.index(b"nclx")
    body[place + 4 : place + 8] = struct.pack(">HH", primaries, transfer)
    return bytes(body)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    ("primaries", "transfer", "wanted"),
    [
        (1, 13, COLOUR),
        (2, 2, COLOUR),
        (1, 1, COLOUR),
        (12, 13, IN_P3),
        (1, 8, tuple(encoded(value / 255) for value in COLOUR)),
    ],
)
def test_avif_code_points(tmp_path: Path, primaries: int, transfer: int, wanted: tuple[int, ...], query: str) -> None:
    for extra in ((), (128,)):
        found = values(rendered(tmp_path, avif((*COLOUR, *extra), primaries, transfer), query))[10, 10]
        assert np.abs(found.astype(int) - (*wanted, *extra)).max() <= 1


def test_a_profile_beats_the_code_points_of_an_avif(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), COLOUR).save(buffer, "AVIF", quality=100, subsampling="4:4:4", icc_profile=P3_PROFILE)
    found = values(rendered(tmp_path, buffer.getvalue(), "thumb=20"))[9, 9]
    assert np.abs(found.astype(int) - IN_P3).max() <= 2


def pq(light: float) -> float:
    """The PQ sample of light in candelas per square metre (SMPTE ST 2084)."""
    power = (light / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    ("light", "wanted"),
    [(0, 0), (20.3, encoded(0.1)), (60.9, encoded(0.3)), (203, 229), (1000, 255), (4000, 255)],
)
def test_pq_is_tone_mapped(tmp_path: Path, light: float, wanted: int, query: str) -> None:
    """203 candelas per square metre are white in a video, and 229 by the curve of BT.2390, section 5.4.1."""
    for bands in (1, 3):
        body = png((round(65535 * pq(light)),) * bands, cicp(9, 16), bits=16)
        found = values(rendered(tmp_path, body, query))[10, 10]
        assert len(found) == bands
        assert np.abs(found.astype(int) - wanted).max() <= 1


def test_a_brighter_peak_leaves_room_for_highlights(tmp_path: Path) -> None:
    light = chunk(b"cLLI", struct.pack(">II", 4000 * 10_000, 400 * 10_000))
    samples = (round(65535 * pq(1000)),) * 3
    assert values(rendered(tmp_path, png(samples, cicp(9, 16), bits=16), "thumb=20"))[9, 9].min() == 255
    assert values(rendered(tmp_path, png(samples, cicp(9, 16), light, bits=16), "thumb=20"))[9, 9].max() < 252


@pytest.mark.parametrize("query", QUERIES)
def test_hlg_is_tone_mapped(tmp_path: Path, query: str) -> None:
    """75 % is the white of captions, 203 candelas per square metre (BT.2408)."""
    found = [
        values(rendered(tmp_path, png((round(65535 * sample),) * 3, cicp(9, 18), bits=16), query))[9, 9]
        for sample in (0, 0.38, 0.75, 1)
    ]
    grey = 1000 * (0.38**2 / 3) ** 1.2 / 203
    assert np.abs(np.array(found).astype(int)[:, 0] - (0, encoded(grey), 229, 255)).max() <= 1
    assert np.ptp(found, axis=1).max() <= 1


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("bands", [1, 3])
def test_hdr_with_alpha_is_tone_mapped_once(tmp_path: Path, query: str, bits: int, transfer: int, bands: int) -> None:
    most = 2**bits - 1
    sample = pq(203) if transfer == 16 else 0.75
    body = png((round(most * sample),) * bands + (round(most * 128 / 255),), cicp(9, transfer), bits=bits)
    found = values(rendered(tmp_path, body, query))[9, 9]
    assert np.abs(found.astype(int) - ((229,) * bands + (128,))).max() <= 1


@pytest.mark.parametrize("peak", [100, 400, 4000])
def test_hlg_is_relative_to_its_reference_display(tmp_path: Path, peak: int) -> None:
    light = chunk(b"cLLI", struct.pack(">II", peak * 10_000, 100 * 10_000))
    found = values(rendered(tmp_path, png((round(65535 * 0.75),) * 3, cicp(9, 18), light, bits=16), "thumb=20"))
    assert np.abs(found[9, 9].astype(int) - 229).max() <= 1


def test_hdr_keeps_hue_and_alpha(tmp_path: Path) -> None:
    """Red of BT.709 primaries stays red, however bright it is."""
    samples = (round(65535 * pq(900)), 0, 0, 32768)
    found = values(rendered(tmp_path, png(samples, cicp(1, 16), bits=16), "thumb=20"))[9, 9]
    assert found[0] > 240
    assert found[1:3].max() <= 1
    assert found[3] == 128


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_avif_is_never_shown_raw(tmp_path: Path, transfer: int) -> None:
    body = avif((148, 148, 148), 9, transfer)
    found = values(rendered(tmp_path, body, "thumb=20"))[9, 9]
    assert np.abs(found.astype(int) - (229 if transfer == 16 else found)).max() <= 2
    assert np.abs(found.astype(int) - 148).min() > 10


def aom(colour: tuple[int, ...], **options: object) -> bytes:
    buffer = io.BytesIO()
    mode = "RGBA" if len(colour) == 4 else "RGB"
    Image.new(mode, (64, 64), colour).save(buffer, "AVIF", quality=100, subsampling="4:4:4", **options)
    return buffer.getvalue()


def with_configuration(body: bytes, number: int, obus: bytes) -> bytes:
    """An AVIF with OBUs in one of its configurations (`av1C`): boxes grow, and pixels move."""
    with mmap(-1, len(body)) as data:
        data[:] = body
        found = list(boxes(data))
        place = [box for box in found if box.name == b"av1C"][number].end
        (iloc,) = (box for box in found if box.name == b"iloc")
        grown = bytearray(body)
        for start in [box.body - 8 for box in found if box.body <= place <= box.end and box.name in _GROWING]:
            grown[start : start + 4] = struct.pack(">I", struct.unpack_from(">I", body, start)[0] + len(obus))
        (mdat,) = (box for box in found if box.name == b"mdat")
        for start in range(iloc.body, iloc.end - 3):
            (offset,) = struct.unpack_from(">I", body, start)
            if mdat.body <= offset < mdat.end:
                grown[start : start + 4] = struct.pack(">I", offset + len(obus))
    return bytes(grown[:place] + obus + grown[place:])


_GROWING = {b"meta", b"iprp", b"ipco", b"av1C"}
# From encoders: code points 2 and 2, and not all values.
GREY_STREAM, RGB_STREAM = bytes.fromhex("0a0a00000003bcf4f3fff344"), bytes.fromhex("0a0b00000003bcf4f3fff30080")


def stream(primaries: int, transfer: int, *, full: bool = True) -> bytes:
    """The sequence header of a still picture: 64 x 64 pixels, 8 bits, colours, no tools."""
    bits = (
        f"000 1 1 00000 0101 0101 111111 111111 000 000 0 0 1 {primaries:08b} {transfer:08b} 00000110 {full:b} 00 0 1"
    )
    packed = bits.replace(" ", "")
    packed += "0" * (-len(packed) % 8)
    content = int(packed, 2).to_bytes(len(packed) // 8, "big")
    return bytes([1 << 3 | 2, len(content)]) + content


@pytest.mark.parametrize(
    ("obus", "wanted"),
    [
        (GREY_STREAM, SequenceColours(2, 2, full_range=False)),
        (RGB_STREAM, SequenceColours(2, 2, full_range=False)),
        (stream(12, 13), SequenceColours(12, 13, full_range=True)),
        (b"\x12\0" + stream(9, 16, full=False), SequenceColours(9, 16, full_range=False)),
        (b"", None),
        (b"\x0a", None),
        (b"\x0a\xff\xff\xff", None),
        (stream(12, 13)[:5], None),
    ],
)
def test_sequence_headers(obus: bytes, wanted: SequenceColours | None) -> None:
    assert sequence_colours(obus) == wanted


def described_by(body: bytes) -> Colours | None:
    with mmap(-1, len(body)) as data:
        data[:] = body
        return FORMATS["avif"].reader.colours(data)


def test_a_stream_says_what_its_file_does_not() -> None:
    """Without `nclx`, the sequence header of the AV1 stream counts."""
    body = with_configuration(aom(COLOUR), 0, stream(12, 13))
    assert described_by(body) == coded(1, 13)
    assert described_by(body.replace(b"colrnclx", b"freenclx")) == coded(12, 13)


@pytest.mark.parametrize("samples", ["uchar", "ushort"])
def test_alpha_of_limited_range_is_stretched(samples: str) -> None:
    """Opaque is 235 in such a stream. libheif overlooks that."""
    body = with_configuration(aom((*COLOUR, 128)), 1, stream(2, 2, full=False))
    colours = described_by(body)
    assert colours == coded(1, 13, full_range_alpha=False)
    unit = 256 if samples == "ushort" else 1
    image = (pyvips.Image.black(9, 9, bands=4) + [unit * value for value in (*COLOUR, 235)]).cast(samples)
    found = described(image.copy(interpretation="rgb16" if unit > 1 else "srgb"), colours)
    assert found(4, 4) == [*(unit * value for value in COLOUR), 256 * unit - 1]
