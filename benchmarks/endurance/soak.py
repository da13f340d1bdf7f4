"""Long work: 20,000 mixed transforms, after which the service holds no more memory and no more files than before."""

import argparse
import math
import os
import random
import statistics
from collections.abc import Iterator

from benchmarks.endurance import photos
from benchmarks.endurance.client import OK, Answer, Client, by_status
from benchmarks.endurance.figures import at_most, shown
from benchmarks.endurance.service import descriptors, started
from benchmarks.figures import Figure
from imaging.formats import FORMATS
from transform_service.operations.base import load_operations

_CLIENTS = 4
_SIZES = (0.2, 0.5, 1, 2, 3)
_KINDS = ("jpg", "progressive.jpg", "png", "webp", "avif", "gif", "tiff")
_LOOKS = 100
"""How often the service is looked at, always while it has nothing to do."""
_WARM = 0.1
_MIB = 1024**2
_SLOPE = 1.0
_DESCRIPTORS = 5
_SERVER_ERROR = 500


def options(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("--requests", type=int, default=20_000, help="transforms (20000)")
    parser.add_argument("--warm", type=int, help="those before memory is judged, while the cache fills (a tenth)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures."""
    print("making the photos, once", flush=True)
    files = [path for size in _SIZES for path in photos.of_size(size, _KINDS, 2 * len(_KINDS))]
    async with started() as service, Client(service.url) as client:
        images = [await client.upload(path.read_bytes()) for path in files]
        paths = _transforms(images, random.Random(1))  # noqa: S311  # the same in every run
        answers: list[Answer] = []
        memory, files_open = [], []
        for look in range(_LOOKS):
            count = chosen.requests * (look + 1) // _LOOKS - chosen.requests * look // _LOOKS
            answers += await client.closed([next(paths) for _ in range(count)], _CLIENTS)
            memory.append(service.memory() / _MIB)
            files_open.append(descriptors(service))
            if look % 10 == 9:  # noqa: PLR2004  # ten lines
                print(f"  {len(answers):6} done, {memory[-1]:.0f} MiB, {files_open[-1]} descriptors", flush=True)
    warm = int(_LOOKS * (_WARM if chosen.warm is None else min(0.9, chosen.warm / chosen.requests)))
    slope, error = _slope(memory[warm:], chosen.requests / _LOOKS / 1000)
    middle = statistics.median(files_open[warm:])
    away = max(abs(count - middle) for count in files_open[warm:])
    return [
        *_answers(answers),
        shown(
            "proportional memory",
            f"{memory[warm]:.0f} MiB when warm, {memory[-1]:.0f} at the end, {max(memory):.0f} at most",
        ),
        at_most("its growth for 1,000 transforms", slope, _SLOPE, " MiB", f"± {error:.2g}"),
        at_most("descriptors away from their median", away, _DESCRIPTORS, seen=f"median {middle:.0f}"),
    ]


def _transforms(images: list[str], chance: random.Random) -> Iterator[str]:
    """Every operation in every place of a chain, over every format; some come again, and are found in the cache."""
    operations = load_operations()
    steps = [example for operation in operations.values() for example in operation.examples]
    formats = ["", *(f".{fmt.extension}" for fmt in FORMATS.values())]
    while True:
        chain = [f"thumb={chance.randrange(16, 600)}", *chance.choices(steps, k=chance.randrange(3))]
        chance.shuffle(chain)
        query = "&".join(chain).replace("0123456789abcdef" * 2, os.path.basename(images[0]))  # noqa: PTH119  # of a URL
        yield f"{chance.choice(images)}{chance.choice(formats)}?{query}"


def _answers(answers: list[Answer]) -> list[Figure]:
    wrong = [answer for answer in answers if not 0 < answer.status < _SERVER_ERROR]
    for answer in [answer for answer in answers if answer.status != OK][:10]:
        print(f"  {answer.path}: {answer.status} after {answer.seconds:.1f} s: {answer.said[:300]}")
    return [shown("answers", by_status(answers)), at_most("5xx, or no answer", len(wrong), 0, seen=by_status(wrong))]


def _slope(values: list[float], step: float) -> tuple[float, float]:
    """Of the straight line through values that stand `step` apart (least squares), and its standard error."""
    places = [n * step for n in range(len(values))]
    line = statistics.linear_regression(places, values)
    off = sum((value - line.slope * place - line.intercept) ** 2 for place, value in zip(places, values, strict=True))
    return line.slope, math.sqrt(off / (len(values) - 2) / (statistics.pvariance(places) * len(values)))
