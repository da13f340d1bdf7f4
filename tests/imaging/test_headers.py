"""libvips is locked down in workers: only the allowed loaders, no cache."""

import subprocess
import sys

from tests.servers import ROOT


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_exactly_the_allowed_loaders_are_enabled() -> None:
    code = "from imaging.pixels import vips; vips.lock_down(); print(sorted(vips.enabled_loaders()))"
    expected = ["gifload", "heifload", "jpegload", "pngload", "tiffload", "uhdrload", "webpload"]
    assert _run(code).strip() == str(expected)


def test_an_unexpected_loader_prevents_the_start() -> None:
    code = """
from dataclasses import replace
from imaging.formats import FORMATS
from imaging.pixels import vips
FORMATS["csv"] = replace(FORMATS["png"], name="csv", reader=replace(FORMATS["png"].reader, loader_class="Csv"))
vips.lock_down()
"""
    assert "RuntimeError: libvips offers the loaders" in _run(code)


def test_concurrency_and_cache_are_limited() -> None:
    code = """
from imaging.pixels.vips import lock_down, pyvips
lock_down()
print(pyvips.concurrency_get(), pyvips.cache_get_max())
"""
    assert _run(code).split() == ["1", "0"]


def test_an_svg_is_not_decoded() -> None:
    code = """
from imaging.pixels.vips import lock_down, pyvips
lock_down()
pyvips.Image.new_from_buffer(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "")
"""
    assert "pyvips.error.Error" in _run(code)
