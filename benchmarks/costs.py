"""What decoding and encoding cost per pixel, and what admission estimates: `python -m benchmarks.costs`.

Each measurement runs in a process of its own: seconds of the processor, and peak memory.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from benchmarks.photos import enlarged
from benchmarks.product import EXTENSIONS, pyvips
from imaging.formats import FORMATS, InputLimits
from imaging.header import Header
from imaging.pixels.headers import read_header
from measuring.photos import NoPhotos, opened
from measuring.processes import high_water, in_a_process
from transform_service.chain import parse
from transform_service.planning.plan import OutputLimits, Plan
from transform_service.planning.planner import plan
from transform_service.rendering.renderer import render

T = TypeVar("T")
_SIZE = (7680, 5150)
"""40 megapixels."""
_LIMITS = OutputLimits(10**9, 2**16)
_CHAINS = {"thumb=300": "jpeg", "thumb=2000": "jpeg", "flop": "png"}
"""Chains and output formats that let decoding dominate. The last one decodes all pixels and streams them."""
_INPUTS: dict[str, tuple[str, dict[str, object]]] = {
    "baseline JPEG": ("jpeg", {"Q": 85}),
    "progressive JPEG": ("jpeg", {"Q": 85, "interlace": True, "subsample_mode": "off"}),
    "PNG": ("png", {}),
    "interlaced PNG": ("png", {"interlace": True}),
    "WebP": ("webp", {"Q": 80, "effort": 0}),
    "lossless WebP": ("webp", {"lossless": True, "effort": 0}),
    "AVIF": ("avif", {"compression": "av1", "effort": 0}),
    "GIF": ("gif", {"effort": 1}),
    "TIFF": ("tiff", {"compression": "deflate"}),
}


def main() -> None:
    """Print a table."""
    print(f"{'input':18}{'chain':12}{'output':8}{'seconds':>9}{'estimate':>9}{'MiB':>7}{'estimate':>9}")
    with tempfile.TemporaryDirectory(prefix="imgsvc-costs-") as folder:
        for name, path in _inputs(Path(folder)):
            header = in_a_process(_header, path)
            for chain, output in _chains(name):
                steps = parse(chain, max_operations=20).operations
                planned = plan(steps, FORMATS[output], header, "", _LIMITS)
                target = path.with_suffix(".out")
                _, seconds, peak = in_a_process(_measured, _rendered, path, planned.plan, target)
                target.unlink()
                row = f"{name:18}{chain:12}{output:8}{seconds:9.2f}{planned.cost.seconds:9.2f}"
                print(f"{row}{peak / 1024**2:7.0f}{planned.cost.bytes / 1024**2:9.0f}", flush=True)


def _inputs(folder: Path) -> Iterator[tuple[str, Path]]:
    source = enlarged(*_SIZE)
    for name, (fmt, options) in _INPUTS.items():
        path = folder / f"{name}.{EXTENSIONS[fmt]}"
        in_a_process(_convert, source, path, options)
        yield name, path


def _convert(source: Path, path: Path, options: dict[str, object]) -> None:
    opened(source).write_to_file(str(path), **options)


def _chains(name: str) -> Iterator[tuple[str, str]]:
    yield from _CHAINS.items()
    if name == "baseline JPEG":
        yield from (("flop", output) for output in EXTENSIONS if output != "png")


def _header(path: Path) -> Header:
    with path.open("rb") as file:
        return read_header(file, InputLimits(10**9, 100))


def _rendered(path: Path, plan: Plan, target: Path) -> None:
    with path.open("rb") as source, target.open("x+b", buffering=0) as output:
        render(source, plan, {}, output)


def _measured(function: Callable[..., T], *arguments: object) -> tuple[T, float, int]:
    """Call a function; returns its result, seconds and bytes."""
    pyvips.cache_set_max(0)
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    before, started = high_water(), time.process_time()
    result = function(*arguments)
    return result, time.process_time() - started, high_water() - before


if __name__ == "__main__":
    argparse.ArgumentParser("python -m benchmarks.costs", description=__doc__).parse_args()
    try:
        main()
    except NoPhotos as error:
        sys.exit(str(error))
