"""The gain map of an Ultra HDR JPEG goes wherever the image goes."""

import struct
from pathlib import Path

import numpy as np
import pytest
import pyvips

from service_kit.errors import UnprocessableImage
from tests import pictures
from tests.fidelity.rendering import opened, rendered, values
from tests.files import header_of
from transform_service.explain import explain
from transform_service.settings import TransformSettings

WIDTH, HEIGHT = 800, 600


def ultra_hdr(**options: object) -> bytes:
    """An Ultra HDR JPEG that libvips writes: one corner is much brighter than white, top left."""
    place = pyvips.Image.xyz(WIDTH, HEIGHT)
    ramp = 1 - (place[0] / WIDTH * 0.5 + place[1] / HEIGHT * 0.5)
    bright = (place[0] < WIDTH / 4) & (place[1] < HEIGHT / 4)
    light = bright.ifthenelse(6.0, ramp * 0.6)
    scene = light.bandjoin([light * 0.9, light * 0.8]).cast("float").copy(interpretation="scrgb")
    return bytes(scene.uhdrsave_buffer(Q=95, **options))


@pytest.fixture(scope="module")
def hdr() -> bytes:
    return ultra_hdr()


def gain_map(body: bytes) -> tuple[np.ndarray, dict[str, object]]:
    """The pixels and the parameters of a gain map, as libultrahdr reads them."""
    image = pyvips.Image.uhdrload_buffer(body)
    parameters = {
        name: image.get(name) for name in image.get_fields() if name.startswith("gainmap-") and name != "gainmap-data"
    }
    picture = pyvips.Image.jpegload_buffer(bytes(image.get("gainmap-data")))
    return picture.numpy(), parameters


def has_gain_map(body: bytes) -> bool:
    return b"urn:iso:std:iso:ts:21496:-1" in body or b"hdrgm:" in body


def light(body: bytes) -> np.ndarray:
    """The linear light that a bright display shows."""
    return pyvips.Image.uhdrload_buffer(body).uhdr2scRGB().numpy()


TURNS = {
    "thumb=200": lambda pixels: pixels,
    "resize=400x300": lambda pixels: pixels,
    "resize=100x300,fill,enlarge": lambda pixels: pixels,
    "rotate=90": lambda pixels: np.rot90(pixels, -1),
    "rotate=180": lambda pixels: np.rot90(pixels, 2),
    "rotate=270": np.rot90,
    "flip": np.flipud,
    "flop": np.fliplr,
    "rotate=90&flop&thumb=300": lambda pixels: np.fliplr(np.rot90(pixels, -1)),
    "thumb=300&compress=60": lambda pixels: pixels,
    "rotate=0": lambda pixels: pixels,
    "profile=keep": lambda pixels: pixels,
}


@pytest.mark.parametrize("query", TURNS)
def test_the_map_is_scaled_and_turned_with_the_image(tmp_path: Path, hdr: bytes, query: str) -> None:
    body = rendered(tmp_path, hdr, query, "jpeg")
    found, parameters = gain_map(body)
    before, wanted = gain_map(hdr)
    assert parameters.keys() == wanted.keys()
    for name, value in wanted.items():
        assert parameters[name] == pytest.approx(value, abs=1e-3), name
    image = opened(body)
    turned = TURNS[query](before)
    assert abs(found.shape[1] / image.width - before.shape[1] / WIDTH) < 0.01 or "90" in query
    assert abs(found.shape[0] * found.shape[1] / (image.width * image.height) - 0.25) < 0.01
    step = (turned.shape[0] / found.shape[0], turned.shape[1] / found.shape[1])
    rows = ((np.arange(found.shape[0]) + 0.5) * step[0]).astype(int)
    columns = ((np.arange(found.shape[1]) + 0.5) * step[1]).astype(int)
    assert np.abs(found.astype(int) - turned[rows][:, columns].astype(int)).mean() < 3


@pytest.mark.parametrize(
    ("query", "left", "top"),
    [
        ("crop=100,50,301x203", 100, 50),
        ("crop=101,53,301x203", 101, 53),
        ("crop=301x203,southeast", WIDTH - 301, HEIGHT - 203),
        ("crop=301x203", round((WIDTH - 301) / 2), round((HEIGHT - 203) / 2)),
        ("resize=301x203,cover,enlarge", None, None),
        ("crop=400x300,smart", None, None),
        ("autocrop", None, None),
        ("autocrop&thumb=100", None, None),
    ],
)
def test_a_crop_shows_the_light_of_its_part(
    tmp_path: Path, hdr: bytes, query: str, left: int | None, top: int | None
) -> None:
    body = rendered(tmp_path, hdr, query, "jpeg")
    found, _ = gain_map(body)
    image = opened(body)
    assert abs(found.shape[1] - image.width / 2) <= 1
    assert abs(found.shape[0] - image.height / 2) <= 1
    if left is not None and top is not None:
        wanted = light(hdr)[top : top + 203, left : left + 301]
        assert np.abs(light(body) - wanted).mean() < 0.05


@pytest.mark.parametrize("size", [1, 2, 7, 16])
def test_small_results_keep_it(tmp_path: Path, hdr: bytes, size: int) -> None:
    found, _ = gain_map(rendered(tmp_path, hdr, f"thumb={size}", "jpeg"))
    assert found.size >= 1


@pytest.mark.parametrize(
    ("query", "output"),
    [
        ("thumb=200", "webp"),
        ("thumb=200", "png"),
        ("thumb=200", "avif"),
        ("blur=2", "jpeg"),
        ("brightness=1.2", "jpeg"),
        ("grayscale", "jpeg"),
        ("rotate=10", "jpeg"),
        ("pad=900x900", "jpeg"),
        ("thumb=100&sharpen=1", "jpeg"),
    ],
)
def test_it_is_dropped_where_it_would_be_wrong(tmp_path: Path, hdr: bytes, query: str, output: str) -> None:
    assert not has_gain_map(rendered(tmp_path, hdr, query, output))


def test_an_orientation_turns_the_map(tmp_path: Path, hdr: bytes) -> None:
    upright = pyvips.Image.uhdrload_buffer(hdr).copy()
    upright.set_type(pyvips.GValue.gint_type, "orientation", 6)
    body = bytes(upright.jpegsave_buffer(keep="exif|gainmap", Q=95))
    assert has_gain_map(body)
    result = rendered(tmp_path, body, "thumb=400", "jpeg")
    found, _ = gain_map(result)
    assert found.shape[:2] == (200, 150)
    assert light(result)[:90, -60:].mean() > 3  # the bright corner is at the top right now


def test_a_damaged_map_does_not_hurt_the_image(tmp_path: Path, hdr: bytes) -> None:
    start = hdr.rindex(b"\xff\xda") + 40
    for body in (hdr[:start] + bytes(len(hdr) - start), hdr[:start]):
        result = rendered(tmp_path, body, "thumb=200", "jpeg")
        assert opened(result).size == (200, 150)
        assert np.abs(values(result).astype(int) - values(rendered(tmp_path, hdr, "thumb=200", "jpeg"))).mean() < 1


@pytest.mark.parametrize("place", [100, 150, 200, 300, 500, 700, 1500, 3000, 5000])
def test_a_garbled_map_does_not_hurt_the_image(tmp_path: Path, hdr: bytes, place: int) -> None:
    """Of some damage, the decoder warns when it is freed."""
    start = hdr.rindex(b"\xff\xd8") + place
    for value in (0, 7, 0x55, 0xFF):
        body = hdr[:start] + bytes([value]) * 3 + hdr[start + 3 :]
        assert opened(rendered(tmp_path, body, "thumb=40", "jpeg")).size == (40, 30)


def segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", 2 + len(content)) + content


def xmp(fields: str) -> bytes:
    text = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" {fields}/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + text.encode())


def adobe(fields: str, bands: int = 1) -> bytes:
    """An Ultra HDR JPEG whose gain map is described by XMP only, as phones wrote them before ISO 21496-1."""
    base = bytes(pictures.gradient(80, 60).jpegsave_buffer(keep="none"))
    picture = bytes(pictures.gradient(40, 30, bands).jpegsave_buffer(keep="none"))
    picture = picture[:2] + xmp(fields) + picture[2:]

    def index(size: int, place: int) -> bytes:
        entries = struct.pack(">IIIHH", 0x030000, size, 0, 0, 0) + struct.pack(">IIIHH", 0, len(picture), place, 0, 0)
        tags = struct.pack(">HHI4s", 0xB000, 7, 4, b"0100") + struct.pack(">HHII", 0xB001, 4, 1, 2)
        tags += struct.pack(">HHII", 0xB002, 7, len(entries), 50)
        return segment(0xE2, b"MPF\0MM\0*" + struct.pack(">IH", 8, 3) + tags + bytes(4) + entries)

    start = base[:2] + xmp("")
    size = len(base) + len(start) - 2 + len(index(0, 0))
    return start + index(size, size - len(start) - 8) + base[2:] + picture


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("query", ["thumb=40", "rotate=90", "crop=30x20", "rotate=0"])
def test_a_map_that_only_xmp_describes_is_kept(tmp_path: Path, query: str, bands: int) -> None:
    body = adobe('hdrgm:GainMapMax="2.5" hdrgm:HDRCapacityMax="2.5"', bands)
    _, wanted = gain_map(body)
    found, parameters = gain_map(rendered(tmp_path, body, query, "jpeg"))
    assert np.atleast_3d(found).shape[2] == bands
    for name, value in wanted.items():
        assert parameters[name] == pytest.approx(value, abs=1e-3), name


@pytest.mark.parametrize("fields", ['hdrgm:GainMapMax="2" hdrgm:Gamma="0" hdrgm:HDRCapacityMax="2"'])
def test_parameters_that_cannot_be_written_do_not_hurt_the_image(tmp_path: Path, fields: str) -> None:
    body = adobe(fields)
    (tmp_path / "image").write_bytes(body)
    assert header_of(tmp_path / "image").gain_map_pixels == 1200
    assert not has_gain_map(rendered(tmp_path, body, "thumb=40", "jpeg"))


def test_a_damaged_image_with_a_map_is_still_refused(tmp_path: Path, hdr: bytes) -> None:
    middle = hdr.index(b"\xff\xda") + 2000
    with pytest.raises(UnprocessableImage):
        rendered(tmp_path, hdr[:middle] + hdr[middle + 2000 :], "thumb=700", "jpeg")


@pytest.mark.parametrize(
    ("query", "extension", "said"),
    [
        ("rotate=90&thumb=300", None, "gain map    kept, and scaled, cropped and turned with the image"),
        ("thumb=300", "webp", "gain map    dropped, since the service does not write any in WEBP"),
        ("thumb=300&sharpen=2", None, "gain map    dropped, since it would not fit the pixels after sharpen=2"),
        ("thumb=9&profile=keep", "gif", "colours     converted to sRGB, since GIF has no profiles"),
        ("thumb=9&profile=keep", "webp", "colours     those of the image with its profile; sRGB if it is CMYK"),
    ],
)
def test_explain_says_what_happens_to_it(
    tmp_path: Path, hdr: bytes, query: str, extension: str | None, said: str
) -> None:
    (tmp_path / "photo.jpg").write_bytes(hdr)
    assert said in explain(query, tmp_path / "photo.jpg", extension, TransformSettings())


@pytest.mark.parametrize("place", range(0, 900, 7))
def test_a_garbled_index_does_no_harm(tmp_path: Path, hdr: bytes, place: int) -> None:
    start = hdr.index(b"MPF\0")
    body = hdr[: start + place % 80] + bytes([place % 251]) + hdr[start + place % 80 + 1 :]
    assert opened(rendered(tmp_path, body, "thumb=40", "jpeg")).size == (40, 30)


def test_a_map_that_is_larger_than_its_image_does_not_count(tmp_path: Path, hdr: bytes) -> None:
    start = hdr.rindex(b"\xff\xc0")
    body = hdr[: start + 5] + b"\xff\xdc\xff\xdc" + hdr[start + 9 :]
    (tmp_path / "image").write_bytes(body)
    assert header_of(tmp_path / "image").gain_map_pixels == 0
    assert not has_gain_map(rendered(tmp_path, body, "thumb=40", "jpeg"))


def test_the_map_of_a_grey_image_is_dropped(tmp_path: Path, hdr: bytes) -> None:
    """libultrahdr would write a grey JPEG with a profile for RGB, which it cannot read again."""
    grey = pyvips.Image.uhdrload_buffer(hdr).colourspace("b-w")
    body = bytes(grey.jpegsave_buffer(keep="gainmap", Q=95))
    assert has_gain_map(body)
    result = rendered(tmp_path, body, "thumb=100", "jpeg")
    assert not has_gain_map(result)
    assert opened(result).mode == "L"
