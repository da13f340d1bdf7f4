"""The command `imgsvc precompute`, next to a running service."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests import pictures
from tests.imgsvc.test_levels import Service, embedded
from tests.servers import ROOT


@pytest.fixture
async def service(tmp_path: Path, http: aiohttp.ClientSession) -> AsyncIterator[Service]:
    async with embedded(tmp_path, http, variant_bytes=10**9) as running:
        yield running


async def command(service: Service, *arguments: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "imgsvc", "precompute", *arguments), cwd=ROOT,
        env={"DATA_DIR": str(service.folder), "PATH": "", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    text, _ = await process.communicate()
    return process.returncode or 0, text.decode()


async def status(service: Service) -> dict[str, int]:
    """How many variants of each chain are stored."""
    found = json.loads((await command(service, "status", "--json"))[1])
    return {each["chain"]: each["variants"] for each in found["chains"]}


async def test_a_chain_is_rendered_for_earlier_and_for_new_images_until_it_is_removed(service: Service) -> None:
    await service.upload(pictures.jpeg(900, 700))
    assert await command(service, "list") == (0, "no chains are precomputed\n")
    assert await command(service, "add", ".webp?w=300&t=1") == (0, "webp?resize=300x is precomputed from now on\n")
    assert "webp?resize=300x" in (await command(service, "list"))[1]
    assert (await command(service, "add", "webp?w=300"))[1].startswith("webp?resize=300x is precomputed already")
    async with asyncio.timeout(40):
        while await status(service) != {"webp?resize=300x": 1}:
            await asyncio.sleep(0.3)
        await service.upload(pictures.jpeg(900, 701))
        while await status(service) != {"webp?resize=300x": 2}:
            await asyncio.sleep(0.3)
        while (await command(service, "status"))[1].splitlines()[1].split()[:3] != ["webp?resize=300x", "100%", "2"]:
            await asyncio.sleep(0.3)
    assert await command(service, "remove", "webp?resize=300x") == (
        0, "webp?resize=300x is not precomputed any more; its variants are removed soon\n",
    )  # fmt: skip
    async with asyncio.timeout(40):
        while await status(service):
            await asyncio.sleep(0.3)
    assert not [path for path in (service.folder / "blobs" / "variants").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        ("webp?thum=300", "imgsvc: unknown operation 'thum'; did you mean 'thumb'?\nimgsvc:   thum=300\nimgsvc:   ^"),
        ("webp?thumb=0", "imgsvc: thumb: side"),
        ("thumb=300", "imgsvc: a chain begins with a format, as in 'webp?thumb=300'"),
        ("?thumb=300", "imgsvc: a chain begins with a format, as in 'webp?thumb=300'"),
        ("http://127.0.0.1/v1/images/1.webp?thumb=3", "imgsvc: a chain begins with a format, as in 'webp?thumb=300'"),
        ("psd?thumb=300", "imgsvc: the format 'psd' is not supported; use one of: avif"),
        ("auto?thumb=300", "imgsvc: `auto` becomes a format only with a browser; add `webp?…` and `avif?…`"),
        ("webp?thumb=300&format=png", "imgsvc: the chain has format; use operations only"),
        ("webp?" + "&".join(["blur=1.2345"] * 20), "imgsvc: the chain has "),
        (f"webp?watermark={'a' * 32}", "imgsvc: watermark shows another image"),
        ("", "imgsvc: a chain begins with a format, as in 'webp?thumb=300'"),
    ],
)
async def test_an_invalid_chain_is_refused_with_the_place_marked(service: Service, chain: str, said: str) -> None:
    code, text = await command(service, "add", chain)
    assert (code, text[: len(said)]) == (2, said)
    assert await command(service, "list") == (0, "no chains are precomputed\n")


async def test_what_is_not_precomputed_cannot_be_removed(service: Service) -> None:
    assert await command(service, "remove", "webp?thumb=3") == (
        1, "imgsvc: webp?thumb=3 is not precomputed; see `imgsvc precompute list`\n",
    )  # fmt: skip


async def test_without_room_for_variants_nothing_is_added(service: Service) -> None:
    said = "imgsvc: VARIANT_BYTES is 0, so no variants are stored; raise it first\n"
    assert await command(service, "add", "webp?thumb=3", VARIANT_BYTES="0") == (2, said)
