"""Cold renders with access control and without, at `imgsvc serve` of this checkout and of another one, in turn."""

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
import pyvips

from measuring.figures import Figure, at_most, extremes
from measuring.servers import ROOT, await_port, free_port, running
from service_kit import signing

_PARTS = 10


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--before", type=Path, required=True, help="a checkout to compare with")
    parser.add_argument("--renders", type=int, default=400, help="renders of each kind (default: 400)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The ratios of median times, in ten parts of the run."""
    photo = pyvips.Image.gaussnoise(3000, 2000, mean=128, sigma=20).cast("uchar").gaussblur(2).jpegsave_buffer()
    times: dict[str, list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsvc-cold-")))
        before = stack.enter_context(_served(folder / "before", chosen.before, AUTH="open"))
        after = stack.enter_context(_served(folder / "after", ROOT, AUTH="keys"))
        key = re.findall("ik_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", (folder / "after/log").read_text())[0]
        async with aiohttp.ClientSession() as http:
            keyed = {"Authorization": f"Bearer {key}"}
            wanted = {"name": "cold", "scopes": ["sign"]}
            async with http.post(f"{after}/v1/keys", json=wanted, headers=keyed) as answer:
                secret = (await answer.json())["signing_secret"]
            paths = {}
            for name, url, visibility in (("before", before, ""), ("public", after, ""), ("private", after, "private")):
                query = f"?visibility={visibility}" if visibility else ""
                headers = {"Content-Type": "image/jpeg", **(keyed if url is after else {})}
                async with http.post(f"{url}/v1/images{query}", data=photo, headers=headers) as answer:
                    paths[name] = (url, f"/v1/images/{(await answer.json())['image_id']}.jpg?thumb=300&blur=")
            for number in range(chosen.renders):
                end = f"{0.3 + number / 10_000:.4f}"
                ways = {
                    "before": (paths["before"], {}),
                    "public": (paths["public"], {}),
                    "by key": (paths["private"], keyed),
                    "signed": (paths["private"], {}),
                }
                for name in [*ways] if number % 2 else reversed(ways):
                    (url, path), headers = ways[name]
                    target = path + end + {"by key": "1", "signed": "2"}.get(name, "")
                    if name == "signed":
                        target = signing.signed(target, secret)
                    began = time.perf_counter()
                    async with http.get(url + target, headers=headers) as answer:
                        await answer.read()
                    assert answer.status == 200  # noqa: PLR2004
                    times.setdefault(name, []).append(time.perf_counter() - began)
    return [
        *(Figure(f"{name}, median", f"{statistics.median(found) * 1000:.2f} ms") for name, found in times.items()),
        *(_ratio(f"{name} / before", times[name], times["before"]) for name in ("public", "by key", "signed")),
    ]


def _ratio(name: str, these: list[float], those: list[float]) -> Figure:
    part = max(1, len(these) // _PARTS)
    ratios = [
        statistics.median(these[start : start + part]) / statistics.median(those[start : start + part])
        for start in range(0, part * _PARTS, part)
    ]
    return at_most(name, statistics.median(these) / statistics.median(those), 1.01, "", extremes(ratios))


@contextmanager
def _served(folder: Path, root: Path, **environment: str) -> Iterator[str]:
    """`imgsvc serve` of a checkout, without a result cache; yields its URL."""
    folder.mkdir()
    port = free_port()
    variables = {
        **os.environ,
        "PYTHONPATH": str(root),
        "DATA_DIR": str(folder / "data"),
        "PORT": str(port),
        "RENDERERS": "1",
        "RESULT_CACHE_BYTES": "0",
        **environment,
    }
    with running([sys.executable, "-m", "imgsvc", "serve"], folder / "log", cwd=root, env=variables) as process:
        await_port(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
