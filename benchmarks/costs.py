"""What decoding and encoding cost a pixel, beside what admission believes: `python -m benchmarks.costs`.

Each measurement runs in a process of its own: seconds of the processor, and the high-water mark of memory.
"""

import argparse
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from benchmarks.peers import HERE
from benchmarks.photos import NoPhotos, enlarged
from imaging.formats import FORMATS
from imaging.header import Header
from imaging.pixels import vips
from transform_service.chain import parse
from transform_service.planning.plan import Cost, OutputLimits
from transform_service.planning.planner import plan
from transform_service.rendering.renderer import render

T = TypeVar("T")
_SIZE = (7680, 5150)
"""40 megapixels."""
_LIMITS = OutputLimits(10**9, 2**16)
_CHAINS = {"thumb=300": "jpeg", "thumb=2000": "jpeg", "flop": "png"}
"""Chains, and what is written, so that decoding shows; the last one decodes all pixels and streams them."""
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
            header = _in_a_process(vips.read_header, path, 10**9, 100)[0]
            for chain, output in _chains(name):
                seconds, peak, believed = _measured(path, header, chain, output)
                print(
                    f"{name:18}{chain:12}{output:8}{seconds:9.2f}{believed.seconds:9.2f}"
                    f"{peak / 1024**2:7.0f}{believed.bytes / 1024**2:9.0f}",
                    flush=True,
                )


def _inputs(folder: Path) -> Iterator[tuple[str, Path]]:
    source = enlarged(HERE / ".photos" / "converted", *_SIZE)
    for name, (fmt, options) in _INPUTS.items():
        path = folder / f"{name}.{FORMATS[fmt].extension}"
        _in_a_process(_convert, source, path, options)
        yield name, path


def _convert(source: Path, path: Path, options: dict[str, object]) -> None:
    image = vips.pyvips.Image.new_from_file(str(source), access="sequential")
    image.write_to_file(str(path), **options)


def _chains(name: str) -> Iterator[tuple[str, str]]:
    yield from _CHAINS.items()
    if name == "baseline JPEG":
        yield from (("flop", output) for output in FORMATS if output != "png")


def _measured(path: Path, header: Header, chain: str, output: str) -> tuple[float, int, Cost]:
    planned = plan(parse(chain, max_operations=20).operations, FORMATS[output], header, "", _LIMITS)
    target = path.with_suffix(".out")
    _, seconds, peak = _in_a_process(render, path, planned.plan, {}, target)
    target.unlink()
    return seconds, peak, planned.cost


def _in_a_process(function: Callable[..., T], *arguments: object) -> tuple[T, float, int]:
    """The result, seconds and bytes. Spawned: a fork of a process that has used libvips hangs."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    result: tuple[T, float, int] = ours.recv()
    process.join()
    return result


def _work(connection: Connection, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    vips.pyvips.cache_set_max(0)
    Path("/proc/self/clear_refs").write_text("5")  # forget the high-water mark
    before, started = _high_water(), time.process_time()
    result = function(*arguments)
    connection.send((result, time.process_time() - started, _high_water() - before))


def _high_water() -> int:
    match = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(match[1]) * 1024 if match else 0


if __name__ == "__main__":
    argparse.ArgumentParser("python -m benchmarks.costs", description=__doc__).parse_args()
    try:
        main()
    except NoPhotos as error:
        sys.exit(str(error))
