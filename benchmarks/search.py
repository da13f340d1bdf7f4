"""How long searches take among a million images in PostgreSQL: `python -m benchmarks.search` (four minutes)."""

import argparse
import asyncio
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from measuring.figures import Figure, as_text, at_most, failed
from service_kit.access import DEFAULT_SPACE
from storage_service.metadata.base import DatabaseConfig, create_store
from storage_service.search import Filters, search
from tests import servers

_WORDS, _TAGS, _WORDS_EACH = 20_000, 500, 5
"""Different words and tags, by Zipf's law, and words of one image besides `photo`, which all have."""
_PAGE, _QUERIES = 50, 200
_FILL = (
    """
    INSERT INTO images (image_id, format, width, height, frames, orientation, colour_space, alpha, progressive,
        bytes, sha256, visibility, created_at)
    SELECT md5(i::text),
        (ARRAY['jpeg', 'jpeg', 'jpeg', 'jpeg', 'jpeg', 'jpeg', 'png', 'png', 'webp', 'avif'])[1 + i % 10],
        100 + (i::bigint * 7919) % 8000, 100 + (i::bigint * 104729) % 6000, 1, 1, 'srgb', FALSE, FALSE,
        1000, md5(i::text) || md5(i::text), 'public', now() - i * interval '1 minute'
    FROM generate_series(1, $1::int) AS i
    """,
    f"""
    INSERT INTO terms
    SELECT DISTINCT convert_to('w' || floor(exp(ln({_WORDS}) * random()))::int, 'UTF8'), created_at, image_id, space
    FROM images, generate_series(1, {_WORDS_EACH})
    """,  # noqa: S608
    "INSERT INTO terms SELECT convert_to('photo', 'UTF8'), created_at, image_id, space FROM images",
    f"""
    INSERT INTO terms
    SELECT convert_to('#t' || floor(exp(ln({_TAGS}) * random()))::int, 'UTF8'), created_at, image_id, space FROM images
    """,  # noqa: S608
    "ANALYZE",
)


def _zipf(most: int, chance: random.Random) -> int:
    return int(math.exp(math.log(most) * chance.random()))


def _kinds(chance: random.Random) -> dict[str, Callable[[], Filters]]:
    """What people search for: common and rare words alike."""

    def word() -> str:
        return f"w{_zipf(_WORDS, chance)}"

    def tag() -> list[str]:
        return [f"t{_zipf(_TAGS, chance)}"]

    def since() -> datetime:
        return datetime.now(UTC) - timedelta(days=chance.randrange(700))

    return {
        "a word": lambda: Filters(words=word()),
        "the beginning of one": lambda: Filters(words=word()[: chance.choice((1, 2, 3))]),
        "a word that all have, and another": lambda: Filters(words=f"photo {word()}"),
        "two words": lambda: Filters(words=f"{word()} {word()}"),
        "three words": lambda: Filters(words=f"{word()} {word()} {word()}"),
        "a tag": lambda: Filters(tags=tag()),
        "a tag and a word": lambda: Filters(tags=tag(), words=word()),
        "a format, common, rare or unknown": lambda: Filters(format=chance.choice(("jpeg", "avif", "tiff"))),
        "a size": lambda: Filters(min_width=chance.randrange(100, 8000), max_height=chance.randrange(100, 6000)),
        "a size that none has": lambda: Filters(min_width=20_000),
        "a day": lambda: Filters(created_before=since()),
        "all of it": lambda: Filters(words=word(), tags=tag(), format="avif", min_width=3000),
    }


async def measure(images: int) -> list[Figure]:
    """Fill a database, and search."""
    with tempfile.TemporaryDirectory() as name, servers.postgres(Path(name)) as url:
        store = create_store(DatabaseConfig(url, None, 5))
        await store.open()
        connection = await asyncpg.connect(url)
        for statement in _FILL:
            await connection.execute(statement.replace("$1::int", str(images)))
        await connection.close()
        figures, everything = [], []
        for kind, make in _kinds(random.Random(1)).items():  # noqa: S311
            took = []
            for number in range(_QUERIES):
                # Every other one as with a key for one space.
                filters = replace(make(), space=DEFAULT_SPACE if number % 2 else None)
                began = time.perf_counter()
                await search(store, filters, _PAGE, None)
                took.append((time.perf_counter() - began) * 1000)
            everything += took
            figures.append(Figure(kind, f"p50 {statistics.median(took):.1f} ms, p95 {_p95(took):.1f} ms"))
        await store.close()
    return [*figures, at_most("all of these, p95", _p95(everything), 50, " ms")]


def _p95(took: list[float]) -> float:
    return statistics.quantiles(took, n=20)[-1]


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000, help="how many there are (default: 1000000)")
    figures = asyncio.run(measure(parser.parse_args().images))
    print(as_text(figures))
    return int(failed(figures))


if __name__ == "__main__":
    sys.exit(main())
