"""Calls what worker processes run, on files by path."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path

import pyvips

from imaging.formats import InputLimits
from imaging.header import Header
from imaging.pixels.headers import read_header
from transform_service.planning.plan import Plan, RenderReport
from transform_service.rendering.renderer import render


def mapped(path: Path) -> mmap:
    """The contents of a file."""
    with path.open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def header_of(path: Path, limits: InputLimits = InputLimits(10**9, 100)) -> Header:  # noqa: B008
    """The header of an image."""
    with path.open("rb") as file:
        return read_header(file, limits)


def render_file(source: Path, plan: Plan, target: Path, overlays: Mapping[str, Path] | None = None) -> RenderReport:
    """Render an image to a new file."""
    with ExitStack() as files:
        marks = {name: files.enter_context(path.open("rb")) for name, path in (overlays or {}).items()}
        output = files.enter_context(target.open("x+b", buffering=0))
        return render(files.enter_context(source.open("rb")), plan, marks, output)


@contextmanager
def uncached() -> Iterator[None]:
    """As in worker processes: libvips frees what is not needed any more, and reports its warnings then."""
    most = pyvips.cache_get_max()
    pyvips.cache_set_max(0)
    try:
        yield
    finally:
        pyvips.cache_set_max(most)
