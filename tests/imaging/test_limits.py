"""Sizes, bands, structures and metadata that are refused before a decoder sees them, and that are not."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import pyvips

from imaging.formats import InputLimits
from service_kit.errors import UnprocessableImage
from tests.files import header_of
from tests.hostile.files import REFUSED, avif, nested
from tests.servers import ROOT

LIMITS = InputLimits(100_000_000, 100)
_LITTLE_MEMORY = """
import resource, sys, time
from pathlib import Path
from imaging.formats import InputLimits
from imaging.pixels import vips
from imaging.pixels.headers import read_header
from service_kit.errors import UnprocessableImage
vips.lock_down()
before = Path("/proc/self/statm").read_text().split()
resource.setrlimit(resource.RLIMIT_DATA, (4096 * int(before[5]) + 30_000_000,) * 2)
started = time.process_time()
try:
    read_header(Path(sys.argv[1]).open("rb"), InputLimits(100_000_000, 100))
except UnprocessableImage as error:
    print(error.detail)
assert time.process_time() - started < 1
"""


@pytest.mark.parametrize(("make", "text"), [made for _, *made in REFUSED], ids=[name for name, *_ in REFUSED])
def test_what_would_cost_too_much_is_refused_in_little_memory_and_time(
    tmp_path: Path, make: Callable[[], bytes], text: str
) -> None:
    (tmp_path / "image").write_bytes(make())
    command = [sys.executable, "-c", _LITTLE_MEMORY, str(tmp_path / "image")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert text in done.stdout, done.stderr[-2000:]


def test_boxes_may_be_nested_to_any_depth(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(avif(nested(50_000)))
    with pytest.raises(UnprocessableImage):
        header_of(tmp_path / "image", LIMITS)


def test_complex_samples_are_refused(tmp_path: Path) -> None:
    image = pyvips.Image.black(9, 9).cast("float")
    image.complexform(image).tiffsave(str(tmp_path / "image.tif"))
    with pytest.raises(UnprocessableImage, match=r"samples|unsupported"):
        header_of(tmp_path / "image.tif", LIMITS)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("kind", "size"), [("uchar", 1), ("ushort", 2), ("float", 4)])
def test_a_header_says_what_a_pixel_takes(tmp_path: Path, kind: str, size: int, bands: int) -> None:
    pyvips.Image.black(40, 30, bands=bands).cast(kind).tiffsave(str(tmp_path / "image.tif"))
    header = header_of(tmp_path / "image.tif", LIMITS)
    assert (header.bands, header.sample_bytes, header.pixel_bytes) == (bands, size, bands * size)


def test_the_longest_side_is_allowed(tmp_path: Path) -> None:
    pyvips.Image.black(32_768, 3).pngsave(str(tmp_path / "image.png"))
    assert header_of(tmp_path / "image.png", LIMITS).width == 32_768
