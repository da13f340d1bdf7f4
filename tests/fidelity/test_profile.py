"""`profile=keep` leaves colours in the image's own gamut, and says so in the file."""

import io
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from imaging.formats import FORMATS
from tests.fidelity.rendering import LIMITS, opened, rendered, values
from tests.fidelity.test_colours import COLOUR, IN_P3, P3_PROFILE, avif, chrm, cicp, encoded, gama, iccp, png, pq
from tests.files import header_of, render_file
from transform_service.chain import parse
from transform_service.planning.planner import plan, with_overlays

QUERIES = ["profile=keep", "profile=keep&thumb=20", "thumb=20&profile=keep&blur=1", "profile=keep&rotate=90"]
SRGB = ImageCms.createProfile("sRGB")


def in_srgb(body: bytes) -> np.ndarray:
    """What a viewer that knows profiles shows."""
    image = opened(body)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    return np.asarray(ImageCms.profileToProfile(image.convert("RGB"), profile, SRGB))


def tagged(fmt: str, profile: bytes = P3_PROFILE, mode: str = "RGB", colour: tuple[int, ...] = COLOUR) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (64, 64), colour).save(buffer, fmt, icc_profile=profile, quality=100, subsampling=0, lossless=True)
    return buffer.getvalue()


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("output", ["jpeg", "png", "webp", "avif", "tiff"])
def test_colours_and_profile_stay(tmp_path: Path, query: str, output: str) -> None:
    if FORMATS[output].writer is None:
        pytest.skip(f"{output} is not written")
    body = rendered(tmp_path, tagged("PNG"), query, output)
    assert opened(body).info["icc_profile"] == P3_PROFILE
    assert np.abs(values(body)[9, 9].astype(int) - COLOUR).max() <= 3
    assert np.abs(in_srgb(body)[9, 9].astype(int) - IN_P3).max() <= 3


@pytest.mark.parametrize("query", ["thumb=20", "profile=srgb&thumb=20", "profile=keep&profile=srgb&thumb=20"])
def test_srgb_is_the_default_and_needs_no_profile(tmp_path: Path, query: str) -> None:
    body = rendered(tmp_path, tagged("PNG"), query, "png")
    assert "icc_profile" not in opened(body).info
    assert np.abs(values(body)[9, 9].astype(int) - IN_P3).max() <= 1


@pytest.mark.parametrize(
    "body",
    [
        tagged("JPEG"),
        tagged("WEBP"),
        avif(COLOUR, 12, 13),
        png(COLOUR, cicp(12, 13)),
        png(COLOUR, iccp(P3_PROFILE)),
        png((*COLOUR, 128), cicp(12, 13)),
        png(tuple(257 * value for value in COLOUR), cicp(12, 13), bits=16),
        png((*(257 * value for value in COLOUR), 32768), iccp(P3_PROFILE), bits=16),
    ],
)
def test_wherever_the_file_says_it(tmp_path: Path, body: bytes) -> None:
    result = rendered(tmp_path, body, "profile=keep&thumb=20", "png")
    assert np.abs(values(result)[9, 9, :3].astype(int) - COLOUR).max() <= 2
    assert np.abs(in_srgb(result)[9, 9].astype(int) - IN_P3).max() <= 2


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (tagged("PNG"), "gif"),
        (png((120,), gama(1.0)), "png"),
        (png((round(65535 * pq(100)),) * 3, cicp(9, 16), bits=16), "png"),
        (png(COLOUR), "png"),
    ],
    ids=["gif", "grey", "hdr", "no profile"],
)
def test_what_cannot_keep_a_profile_is_srgb(tmp_path: Path, body: bytes, output: str) -> None:
    kept, plain = (rendered(tmp_path, body, f"thumb=20{query}", output) for query in ("&profile=keep", ""))
    assert "icc_profile" not in opened(kept).info
    assert (values(kept) == values(plain)).all()


def test_cmyk_becomes_srgb(tmp_path: Path) -> None:
    body = tagged("JPEG", bytes(pyvips.Image.profile_load("cmyk")), "CMYK", (0, 200, 200, 20))
    kept, plain = (rendered(tmp_path, body, f"thumb=20{query}") for query in ("&profile=keep", ""))
    assert "icc_profile" not in opened(kept).info
    assert (values(kept) == values(plain)).all()


def test_grey_results_have_no_profile_for_colours(tmp_path: Path) -> None:
    body = rendered(tmp_path, tagged("PNG"), "profile=keep&grayscale", "jpeg")
    assert opened(body).mode == "L"
    assert "icc_profile" not in opened(body).info


@pytest.mark.parametrize("extra", [(), (128,)])
@pytest.mark.parametrize("query", ["grayscale", "thumb=20&grayscale&blur=1"])
def test_grey_results_look_like_the_image(tmp_path: Path, query: str, extra: tuple[int, ...]) -> None:
    """Of a gamut with another curve than sRGB, such as ProPhoto's."""
    body = png(
        (128, 128, 128, *extra), gama(1 / 1.8), chrm((0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0))
    )
    kept = values(rendered(tmp_path, body, f"profile=keep&{query}"))[9, 9]
    assert np.abs(kept.astype(int) - (encoded((128 / 255) ** 1.8), *extra)).max() <= 1


@pytest.mark.parametrize(
    "query", ["background=d92a34&pad=100x100", "pad=100x100&background=d92a34", "background=d92a34&rotate=45"]
)
@pytest.mark.parametrize("output", ["png", "jpeg"])
def test_a_background_has_the_colour_that_it_names(tmp_path: Path, query: str, output: str) -> None:
    """It is in sRGB, and the image in Display P3."""
    body = rendered(tmp_path, tagged("PNG"), f"profile=keep&{query}", output)
    assert np.abs(in_srgb(body)[2, 2].astype(int) - (0xD9, 0x2A, 0x34)).max() <= 3
    assert np.abs(in_srgb(body)[45, 45].astype(int) - IN_P3).max() <= 3


def test_other_primaries_are_kept_as_well(tmp_path: Path) -> None:
    adobe = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    body = png(COLOUR, gama(0.45455), chrm(adobe))
    kept = rendered(tmp_path, body, "profile=keep")
    assert tuple(values(kept)[0, 0]) == COLOUR
    assert np.abs(in_srgb(kept)[0, 0].astype(int) - values(rendered(tmp_path, body, "thumb=30"))[0, 0]).max() <= 1


@pytest.mark.parametrize(
    "profile",
    [
        P3_PROFILE[:200],
        P3_PROFILE[:128] + bytes(len(P3_PROFILE) - 128),
        P3_PROFILE + bytes(600_000),
        P3_PROFILE[:36] + b"xxxx" + P3_PROFILE[40:],
    ],
    ids=["cut off", "empty", "huge", "without its signature"],
)
@pytest.mark.parametrize("fmt", ["JPEG", "WEBP"])
def test_a_profile_that_is_broken_or_huge_is_not_passed_on(tmp_path: Path, profile: bytes, fmt: str) -> None:
    body = rendered(tmp_path, tagged(fmt, profile), "profile=keep&thumb=20", "png")
    assert "icc_profile" not in opened(body).info


def test_an_overlay_keeps_its_look(tmp_path: Path) -> None:
    """It is in sRGB, and the image in Display P3."""
    mark = tmp_path / "mark"
    mark.write_bytes(png(IN_P3))
    source, target = tmp_path / "base", tmp_path / "result"
    source.write_bytes(tagged("PNG", colour=(20, 200, 20)))
    name = "0123456789abcdef0123456789abcdef"
    chain = parse(f"profile=keep&watermark={name},centre,1,0.5", max_operations=9)
    made = plan(chain.operations, FORMATS["png"], header_of(source), "", LIMITS)
    made = with_overlays(made, {name: header_of(mark)})
    assert made.plan
    render_file(source, made.plan, target, {name: mark})
    found = values(target.read_bytes())
    assert tuple(found[0, 0]) == (20, 200, 20)
    assert np.abs(found[32, 32].astype(int) - COLOUR).max() <= 1
