"""A million images in a thousand spaces of tenants: list, info and deletion within one, over HTTP, with PostgreSQL."""

import argparse
import secrets
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from benchmarks.endurance.service import new_key
from measuring.figures import Figure, at_most
from measuring.percentiles import percentile
from measuring.servers import imgsvc

_LIMIT_MS = 50
_COLUMNS = (
    *("image_id", "format", "width", "height", "frames", "orientation", "colour_space", "alpha", "progressive"),
    *("bytes", "sha256", "visibility", "created_at", "space"),
)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--database", required=True, metavar="URL", help="an empty PostgreSQL database; it is filled")
    parser.add_argument("--images", type=int, default=1_000_000, help="images (default: 1000000)")
    parser.add_argument("--spaces", type=int, default=1000, help="spaces (default: 1000)")
    parser.add_argument("--requests", type=int, default=1000, help="requests of each kind (default: 1000)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The 95th percentile of each kind of request."""
    with (
        tempfile.TemporaryDirectory(prefix="imgsvc-spaces-") as folder,
        imgsvc(Path(folder), DATABASE_URL=chosen.database, AUTH="keys", ACCESS_SECRET_FILE=_secret(folder)) as service,
    ):
        admin = new_key(DATABASE_URL=chosen.database, ACCESS_SECRET_FILE=_secret(folder))
        images = await _fill(chosen)
        async with aiohttp.ClientSession(service.url) as http:
            times = await _measured(http, admin, images, chosen.requests)
    return [
        at_most(f"{name}, p95", percentile(found, 0.95), _LIMIT_MS, " ms", f"median {percentile(found, 0.5):.1f} ms")
        for name, found in times.items()
    ]


def _secret(folder: str) -> str:
    file = Path(folder) / "access_secret"
    file.write_text("x" * 40)
    return str(file)


async def _fill(chosen: argparse.Namespace) -> dict[str, list[str]]:
    """Insert images; returns their IDs by space."""
    images: dict[str, list[str]] = {f"tenant-{number}": [] for number in range(chosen.spaces)}
    spaces, began = [*images], datetime.now(UTC) - timedelta(days=365)

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(chosen.images):
            space, image_id = spaces[secrets.randbelow(len(spaces))], uuid.uuid4().hex
            images[space].append(image_id)
            moment = began + timedelta(seconds=number)
            header = ("jpeg", 4000, 3000, 1, 1, "srgb", False, False, 1_000_000)
            yield (image_id, *header, uuid.uuid4().hex * 2, "private", moment, space)

    connection = await asyncpg.connect(chosen.database)
    await connection.copy_records_to_table("images", records=rows(), columns=_COLUMNS, timeout=600)
    await connection.execute("INSERT INTO spaces (space) SELECT DISTINCT space FROM images ON CONFLICT DO NOTHING")
    await connection.execute("ANALYZE images")
    await connection.close()
    return images


async def _measured(
    http: aiohttp.ClientSession, admin: str, images: dict[str, list[str]], requests: int
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in ("list", "list, deep", "info", "delete")}
    keys: dict[str, str] = {}
    for _ in range(requests):
        space = secrets.choice([*images])
        if space not in keys:
            wanted = {"name": space, "scopes": ["list", "metadata", "delete"], "space": space}
            async with http.post("/v1/keys", json=wanted, headers={"Authorization": f"Bearer {admin}"}) as answer:
                keys[space] = (await answer.json())["key"]
        image_id = images[space].pop(secrets.randbelow(len(images[space])))
        page = await _timed(http, keys[space], "GET", "/v1/images?limit=50", times["list"])
        assert {image["space"] for image in page["images"]} == {space}
        for _ in range(3):
            page = await _timed(
                http, keys[space], "GET", f"/v1/images?limit=200&cursor={page['cursor']}", times["list, deep"]
            )
        await _timed(http, keys[space], "GET", f"/v1/images/{image_id}/info", times["info"])
        await _timed(http, keys[space], "DELETE", f"/v1/images/{image_id}", times["delete"])
    return times


async def _timed(http: aiohttp.ClientSession, key: str, method: str, path: str, times: list[float]) -> Any:
    began = time.perf_counter()
    async with http.request(method, path, headers={"Authorization": f"Bearer {key}"}) as answer:
        body = await answer.read()
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status in {200, 204}, body
        return await answer.json() if body else {}
