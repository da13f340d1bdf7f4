"""A hundred clients read and change names through Varnish at once: after a 200, nobody gets an old picture."""

import asyncio
import json
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pyvips

from tests import edge
from tests.faults.length import LONG
from tests.servers import free_port

_NAMES = [f"site/{number}.png" for number in range(24)]
_READERS, _WRITERS = 80, 20
_SECONDS = 60 if LONG else 4
_QUERIES = ("", "?flip&format=png", "?pad=8x8&format=png")
_PNG = {"Content-Type": "image/png"}


def _picture(number: int) -> bytes:
    """A picture that shows its number in each pixel."""
    colour = [number >> 16 & 255, number >> 8 & 255, number & 255]
    return bytes(
        (pyvips.Image.black(4, 4, bands=3) + colour).cast("uchar").copy(interpretation="srgb").pngsave_buffer()
    )


def _number(picture: bytes) -> int:
    image = pyvips.Image.new_from_buffer(picture, "")
    red, green, blue = (int(value) for value in image(image.width // 2, image.height // 2)[:3])
    return red << 16 | green << 8 | blue


@dataclass
class _Run:
    """What was changed and seen."""

    url: str
    http: aiohttp.ClientSession
    until: float
    chance: random.Random
    versions: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    """The version of a name that a number became."""
    newest: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """The newest version whose change has been answered."""
    seen: list[tuple[str, int, int, str]] = field(default_factory=list)
    """Reads: the name, the version that had to be seen, the number that was seen, how."""
    numbers: int = 0

    async def write(self) -> None:
        """Change names again and again."""
        while time.monotonic() < self.until:
            name = self.chance.choice(_NAMES)
            self.numbers += 1
            number = self.numbers
            url = f"{self.url}/v1/names/{name}"
            async with self.http.put(url, data=_picture(number), headers=_PNG) as response:
                answer = await response.json()
                assert response.status in {200, 201}, answer
            self.versions[name][number] = answer["version"]
            self.newest[name] = max(self.newest[name], answer["version"])

    async def read(self) -> None:
        """Read names again and again."""
        while time.monotonic() < self.until:
            name, query = self.chance.choice(_NAMES), self.chance.choice(_QUERIES)
            least = self.newest[name]
            async with self.http.get(f"{self.url}/v1/names/{name}{query}") as response:
                body = await response.read()
                if not least and response.status == 404:
                    continue
                assert response.status == 200, body
            self.seen.append((name, least, _number(body), response.headers["X-Cache"]))


@pytest.mark.parametrize("seed", range(2 if LONG else 1))
async def test_nobody_sees_an_old_picture_after_a_name_has_changed(
    tmp_path: Path, http: aiohttp.ClientSession, seed: int
) -> None:
    with edge.started(tmp_path) as site:
        run = _Run(site.url("varnish"), http, time.monotonic() + _SECONDS, random.Random(seed))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_WRITERS):
                tasks.create_task(run.write())
            for _ in range(_READERS):
                tasks.create_task(run.read())
    old = [
        (name, least, run.versions[name][number], how)
        for name, least, number, how in run.seen
        if number in run.versions[name] and run.versions[name][number] < least
    ]
    assert not old, old[:10]
    hits = sum(how == "HIT" for *_, how in run.seen)
    changes = sum(map(len, run.versions.values()))
    print(json.dumps({"reads": len(run.seen), "hits": hits, "changes": changes}))
    assert hits > 0
    assert changes > len(_NAMES)
    assert {number for _, _, number, _ in run.seen} & {n for found in run.versions.values() for n in found}


async def test_a_change_waits_for_a_varnish_that_cannot_be_purged(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Until it has forgotten by itself what the name showed."""
    nowhere = json.dumps([f"http://127.0.0.1:{free_port()}"])
    with edge.started(tmp_path, PURGE_URLS=nowhere) as site:
        for number in (1, 2):
            url = f"{site.url('nginx')}/v1/names/far.png"
            async with http.put(url, data=_picture(number), headers=_PNG) as response:
                assert response.status in {200, 201}, await response.text()
            for _ in range(2):
                async with http.get(f"{site.url('varnish')}/v1/names/far.png") as response:
                    assert _number(await response.read()) == number
