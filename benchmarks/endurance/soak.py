"""Long work: 20,000 mixed transforms, after which the service holds no more memory and files than before."""

import argparse
import math
import random
import statistics
from collections.abc import Iterator

from benchmarks import product
from benchmarks.endurance.service import none_of, started, uploaded
from benchmarks.photos import of_size
from measuring.client import Answer, by_status
from measuring.figures import Figure, at_most

_CLIENTS = 4
_SIZES = (0.2, 0.5, 1, 2, 3)
_KINDS = ("jpg", "progressive.jpg", "png", "webp", "avif", "gif", "tiff")
_LOOKS = 100
"""Readings of memory and files, always while the service is idle."""
_WARM = 0.1
_MIB = 1024**2
_SLOPE, _DESCRIPTORS = 1.0, 5
_SERVER_ERROR = 500


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--requests", type=int, default=20_000, help="transforms (default: 20000)")
    parser.add_argument(
        "--warm", type=int, help="transforms before memory is judged, while the cache fills (default: 10 %%)"
    )


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures."""
    print("making photos, once", flush=True)
    files = [path for size in _SIZES for path in of_size(size, _KINDS, 2 * len(_KINDS))]
    answers: list[Answer] = []
    memory, descriptors = [], []
    async with started() as (service, client):
        images = await uploaded(client, (path.read_bytes() for path in files))
        paths = _transforms(images, random.Random(1))  # noqa: S311  # the same in every run
        for look in range(_LOOKS):
            count = chosen.requests * (look + 1) // _LOOKS - chosen.requests * look // _LOOKS
            answers += await client.closed([next(paths) for _ in range(count)], _CLIENTS)
            memory.append(service.tree.proportional() / _MIB)
            descriptors.append(service.tree.descriptors())
            if look % 10 == 9:  # noqa: PLR2004  # ten lines
                print(f"  {len(answers):6} done, {memory[-1]:.0f} MiB, {descriptors[-1]} descriptors", flush=True)
    warm = int(_LOOKS * (_WARM if chosen.warm is None else min(0.9, chosen.warm / chosen.requests)))
    slope, error = _slope(memory[warm:], chosen.requests / _LOOKS / 1000)
    middle = statistics.median(descriptors[warm:])
    away = max(abs(count - middle) for count in descriptors[warm:])
    for answer in [answer for answer in answers if not answer.ok][:10]:
        print(f"  {answer}")
    told = f"{memory[warm]:.0f} MiB when warm, {memory[-1]:.0f} at the end, {max(memory):.0f} at its peak"
    return [
        Figure("answers", by_status(answers)),
        none_of("5xx, or no answer", [answer for answer in answers if not 0 < answer.status < _SERVER_ERROR]),
        Figure("proportional memory", told),
        at_most("its growth per 1,000 transforms", slope, _SLOPE, " MiB", f"± {error:.2g}"),
        at_most("distance of descriptors from their median", away, _DESCRIPTORS, spread=f"median {middle:.0f}"),
    ]


def _transforms(images: list[str], chance: random.Random) -> Iterator[str]:
    """Every operation in every place of a chain, in every format. Some repeat, and come from the result cache."""
    steps = product.examples()
    formats = ["", *(f".{extension}" for extension in product.EXTENSIONS.values())]
    while True:
        chain = [f"thumb={chance.randrange(16, 600)}", *chance.choices(steps, k=chance.randrange(3))]
        chance.shuffle(chain)
        query = "&".join(chain).replace("0123456789abcdef" * 2, images[0].rpartition("/")[2])
        yield f"{chance.choice(images)}{chance.choice(formats)}?{query}"


def _slope(values: list[float], step: float) -> tuple[float, float]:
    """The slope of the line through equidistant values (least squares), and its standard error."""
    places = [n * step for n in range(len(values))]
    line = statistics.linear_regression(places, values)
    off = sum((value - line.slope * place - line.intercept) ** 2 for place, value in zip(places, values, strict=True))
    return line.slope, math.sqrt(off / (len(values) - 2) / (statistics.pvariance(places) * len(values)))
