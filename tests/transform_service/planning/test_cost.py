"""The estimated memory is an upper bound: each render succeeds in a process that may map no more than that."""

import multiprocessing
import os
import re
import resource
import struct
import zlib
from pathlib import Path

import pytest
import pyvips

from imaging.formats import FORMATS
from imaging.header import Header
from imaging.pixels import vips
from tests import pictures
from tests.files import header_of, render_file
from transform_service.chain import parse
from transform_service.planning.plan import OutputLimits, Planned
from transform_service.planning.planner import plan, with_overlays

_MARK = "0" * 32
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload([__name__])
"""A new interpreter for each render would take most of the time."""


def planned(source: Path, query: str, output: str, mark: Path | None = None) -> Planned:
    steps = parse(query, max_operations=20).operations
    made = plan(steps, FORMATS[output], header_of(source), "", OutputLimits(10**9, 2**16))
    return with_overlays(made, {_MARK: header_of(mark)} if mark else {})


def picture(width: int, height: int, bands: int = 3) -> pyvips.Image:
    x = pyvips.Image.xyz(width, height)
    planes = [(x[0] * (7 + n) + x[1] * (3 + 2 * n)) % 251 for n in range(bands)]
    noise = pyvips.Image.gaussnoise(width, height, mean=0, sigma=12)
    return ((planes[0].bandjoin(planes[1:]) if planes[1:] else planes[0]) + noise).cast("uchar")


def one_strip(width: int, height: int) -> bytes:
    """A TIFF whose planes are one deflated strip each, which a decoder unpacks as a whole."""
    planes = [zlib.compress(picture(width, height, 1).write_to_memory(), 1) for _ in range(3)]
    places = [8, 8 + len(planes[0]), 8 + len(planes[0]) + len(planes[1])]
    body = b"II*\0" + bytes(4) + b"".join(planes)
    arrays = struct.pack("<3H3I3I", 8, 8, 8, *places, *map(len, planes))
    at = len(body)
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, at), (259, 3, 1, 8), (262, 3, 1, 2)]
    entries += [(273, 4, 3, at + 6), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 3, at + 18), (284, 3, 1, 2)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return body[:4] + struct.pack("<I", at + len(arrays)) + body[8:] + arrays + directory


SHAPES = {
    "wide": (20000, 200),
    "tall": (200, 20000),
    "square": (2000, 1900),
}
if not os.environ.get("LONG"):
    del SHAPES["tall"]
KINDS: dict[str, tuple[int, str]] = {
    "jpeg": (3, ".jpg"),
    "progressive": (3, ".jpg[interlace,subsample-mode=off]"),
    "cmyk": (4, ".jpg[interlace]"),
    "png": (4, ".png[compression=1]"),
    "interlaced": (4, ".png[interlace,compression=1]"),
    "webp": (4, ".webp[effort=0]"),
    "avif": (4, ".avif[effort=0,compression=av1,bitdepth=10,subsample-mode=off]"),
    "gif": (3, ".gif[effort=1]"),
    "tiff": (3, ".tif"),
    "tiles": (3, ".tif[tile,tile-width=1024,tile-height=1024]"),
}


def _write(path: Path, kind: str, shape: str) -> None:
    width, height = SHAPES[shape]
    bands, suffix = KINDS[kind]
    if suffix.startswith((".webp", ".avif")):
        width, height = min(width, 16000), min(height, 16000)
    space = "cmyk" if kind == "cmyk" else "srgb"
    path.write_bytes(picture(width, height, bands).copy(interpretation=space).write_to_buffer(suffix))


def _fits(source: Path, query: str, output: str, mark: Path | None = None, *, share: float = 1) -> bool:
    """Whether a render needs no more than its cost, or `share` of it."""
    process = _FORKING.Process(target=_render, args=(source, query, output, mark, share))
    process.start()
    process.join()
    return process.exitcode == 0


def _render(source: Path, query: str, output: str, mark: Path | None, share: float) -> None:
    vips.lock_down()
    made = planned(source, query, output, mark)
    found = re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    # The stacks of libvips' threads count, although they are hardly used.
    limit = 1024 * int(found[1]) + round(share * made.cost.bytes) + 4 * 8 * 1024**2
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    result = source.with_suffix(".out")
    result.unlink(missing_ok=True)
    render_file(source, made.plan, result, dict.fromkeys(made.plan.overlays, mark) if mark else {})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_render_fits_into_its_estimate(tmp_path: Path, kind: str, shape: str) -> None:
    _write(tmp_path / "image", kind, shape)
    for query, output in (("thumb=300", "jpeg"), ("flop", "png"), ("rotate=90&blur=1", "webp")):
        if output == "webp" and shape != "square":
            continue  # WebP has no side of 20,000 pixels
        assert _fits(tmp_path / "image", query, output), (query, output)


@pytest.mark.parametrize("output", [fmt.name for fmt in FORMATS.values() if fmt.writer])
def test_encoding_fits_into_the_estimate(tmp_path: Path, output: str) -> None:
    _write(tmp_path / "image", "png", "square")
    assert _fits(tmp_path / "image", "flop", output)


@pytest.mark.parametrize("size", [(20000, 200), (200, 20000), (2000, 1900)])
def test_a_single_strip_fits_into_the_estimate(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "image").write_bytes(one_strip(*size))
    for query in ("thumb=300", "flop"):
        assert _fits(tmp_path / "image", query, "jpeg")


@pytest.mark.parametrize("options", ["effort=0", "effort=0,lossless"])
def test_a_webp_fits_however_far_its_decoder_shrinks_it(tmp_path: Path, options: str) -> None:
    (tmp_path / "image").write_bytes(
        picture(4000, 3000).copy(interpretation="srgb").write_to_buffer(f".webp[{options}]")
    )
    for factor in (1.1, 1.9, 2.2, 4):
        assert _fits(tmp_path / "image", f"thumb={round(4000 / factor)}", "jpeg"), factor


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_fits_into_the_estimate(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "image").write_bytes(pictures.animation(8, 900, 700, suffix))
    for output in ("gif", "webp", "png"):
        assert _fits(tmp_path / "image", "thumb=500", output)


def test_overlays_fit_into_the_estimate(tmp_path: Path) -> None:
    """Twenty watermarks from a large AVIF of one colour: 2 kB that unpack to 50 MP."""
    blank = (pyvips.Image.black(5000, 5000, bands=4) + 99).cast("uchar").copy(interpretation="srgb")
    (tmp_path / "mark").write_bytes(blank.write_to_buffer(".avif[effort=0,compression=av1]"))
    _write(tmp_path / "image", "png", "square")
    query = "&".join([f"watermark={_MARK},centre,0.1"] * 5)
    assert _fits(tmp_path / "image", query, "png", tmp_path / "mark")
    alone = planned(tmp_path / "image", query, "png").cost
    assert planned(tmp_path / "image", query, "png", tmp_path / "mark").cost.bytes > alone.bytes + 300_000_000


def test_the_limit_of_these_tests_can_be_hit(tmp_path: Path) -> None:
    _write(tmp_path / "image", "interlaced", "square")
    assert not _fits(tmp_path / "image", "flop", "png", share=1 / 8)


def test_a_header_from_before_has_a_cost() -> None:
    old = {"format": "jpeg", "width": 9, "height": 9, "frames": 1, "orientation": 1, "colour_space": "srgb"}
    header = Header.model_validate({**old, "alpha": False, "progressive": False})
    assert (header.bands, header.sample_bytes, header.held_bytes) == (4, 1, 0)


def test_gain_maps_fit_into_the_estimate(tmp_path: Path) -> None:
    """Of the size of the image, which is the largest that counts."""
    place = pyvips.Image.xyz(4000, 3000)
    scene = (place[0] / 1000).bandjoin([place[1] / 3000, place[0] / 4000]).cast("float").copy(interpretation="scrgb")
    (tmp_path / "image").write_bytes(scene.uhdrsave_buffer(gainmap_scale_factor=1))
    assert header_of(tmp_path / "image").gain_map_pixels == 12_000_000
    for query in ("rotate=90", "thumb=3000", "thumb=300", "crop=3000x2000"):
        assert _fits(tmp_path / "image", query, "jpeg")
