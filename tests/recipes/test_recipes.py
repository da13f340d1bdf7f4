"""The recipes in docs/signed-urls.md sign as the service does, and the page is right about the rest."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest
import pyvips

from service_kit.signing import PARAMETERS, signed
from tests import pictures, servers
from tests.imgsvc.sites import Site, bearer, closed_site

_FOLDER = servers.ROOT / "docs/recipes"
_PAGE = servers.ROOT / "docs/signed-urls.md"
_VECTORS = json.loads((_FOLDER / "vectors.json").read_text())
_STRICT = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GO111MODULE": "off"}
"""Go may use nothing but its standard library. The options in `_command` say the same to other languages."""
_LANGUAGES = ("python", "node", "php", "ruby", "go")

Recipe = Callable[..., str]
"""Prints what `sign(secret, target[, expires])` returns."""


@pytest.fixture(scope="session", params=_LANGUAGES)
def recipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    command = _command(request.param, tmp_path_factory.mktemp("recipe"))

    def sign(secret: str, target: str, expires: int | None = None) -> str:
        arguments = [target] if expires is None else [target, str(expires)]
        return _run([*command, *arguments], SIGNING_SECRET=secret).removesuffix("\n")

    return sign


def _command(language: str, folder: Path) -> list[str]:
    if language == "python":
        return [sys.executable, "-I", "-S", str(_FOLDER / "sign.py")]
    if language == "node":
        return [servers.program("node"), str(_FOLDER / "sign.mjs")]
    if language == "php":
        return [servers.program("php"), "-n", "-d", "error_reporting=-1", str(_FOLDER / "sign.php")]
    if language == "ruby":
        return [servers.program("ruby"), "--disable-gems", "-w", str(_FOLDER / "sign.rb")]
    _run(
        [servers.program("go", "usr/local/go/bin"), "build", "-o", str(folder / "sign"), str(_FOLDER / "sign.go")],
        **_STRICT,
    )
    return [str(folder / "sign")]


def _run(command: list[str], **environment: str) -> str:
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    with closed_site(
        tmp_path_factory.mktemp("closed"), http, PRESETS='{"tiny": "thumb=10", "huge": "thumb=900"}'
    ) as site:
        yield site


def test_a_recipe_signs_every_vector(recipe: Recipe) -> None:
    for vector in _VECTORS["vectors"]:
        assert recipe(_VECTORS["secret"], vector["target"], vector["expires"]) == vector["signed"], vector["text"]


def test_the_vectors_have_every_sign_of_base64url_and_every_parameter() -> None:
    urls = [vector["signed"] for vector in _VECTORS["vectors"]]
    for part in ("-", "_"):
        assert any(part in url.rpartition("signature=")[2] for url in urls)
    for name in PARAMETERS:
        assert any(f"&{name}=" in url for url in urls)


async def test_the_service_accepts_what_a_recipe_signs(site: Site, recipe: Recipe) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private")
    _, secret = site.new_signer()
    for target, other in (
        (f"/v1/images/{image_id}", ".png"),
        (f"/image/{image_id}.webp?thumb=20&download=Caf%C3%A9", "&v=1"),
        (f"/transform?image_id={image_id}&rotate=90", "&v=1"),
        (f"/v1/images/{image_id}?w=10&widths=10,20", ",30"),
        (f"/v1/images/{image_id}?preset=tiny&presets=tiny,huge", ",large"),
    ):
        for expires in (None, int(time.time()) + 600):
            url = recipe(secret, target, expires)
            assert (await site.request("GET", url))[0] == 200, url
            async with site.from_elsewhere() as attacker:
                assert (await attacker.request("GET", url.replace(target, target + other)))[0] == 403, url
        assert (await site.request("GET", url.replace("w=10", "w=20").replace("=tiny&", "=huge&")))[0] == 200
        status, text = await site.request("GET", recipe(secret, target, 1))
        assert (status, "the signature has expired" in text) == (403, True), "so it is right otherwise"


class _Pictures(HTMLParser):
    """The URLs in the srcset of a page, with what each is said to have."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for part in (dict(attrs)["srcset"] or "").split(", "):
            url, _, width = part.partition(" ")
            self.found.append((url, width))


async def test_from_an_upload_to_a_page(site: Site, tmp_path: Path) -> None:
    servers.program("curl")
    found = re.search(r"```sh\n(URL=.*?)```", _PAGE.read_text(), re.DOTALL)
    assert found
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg(1600, 1200))
    command = f'imgsvc() {{ PYTHONPATH="{servers.ROOT}" "{sys.executable}" -m imgsvc "$@"; }}\n{found[1]}'
    environment = {**os.environ, "PORT": site.url.rpartition(":")[2], "DATA_DIR": str(site.folder)}
    done = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", command, cwd=tmp_path, env=environment
    )
    assert await done.wait() == 0
    urls = _Pictures((tmp_path / "page.html").read_text()).found
    assert [width for _, width in urls] == ["320w", "640w", "1280w"]
    assert len({url.rpartition("signature=")[2] for url, _ in urls}) == 1
    for url, width in urls:
        async with site.http.get(url) as response:
            assert response.status == 200
            assert f"{pyvips.Image.new_from_buffer(await response.read(), '').width}w" == width
        async with site.http.get(url.partition("&widths")[0]) as response:
            assert response.status == 401


async def test_errors_are_those_of_the_page(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private&space=mine")
    (key, secret), (_, foreign) = site.new_signer(), site.new_signer(space="other")
    path = f"/v1/images/{image_id}?w=10"
    target, ladder = signed(path, secret), signed(path, secret, widths=(10, 20))
    requests = {
        "the image ID is private": path,
        "the signature is not valid": signed(path, secret[:-1] + ("A" if secret[-1] != "A" else "B")),
        "the signature is not valid: signed URLs end in": f"{target}&utm_source=x",
        "the signature is not valid: a parameter of signed URLs appears twice": target + target.partition("w=10")[2],
        "the signature is not valid: the signature is for the widths": ladder.replace("w=10", "w=30"),
        "the signature is not valid: the signature is for a set of widths": ladder.replace("w=10", "w=10&w=20"),
        "the signature is not valid: expires is in seconds": signed(path, secret, expires=10**10).replace(
            "expires=1", "expires=1000"
        ),
        "the signature has expired": signed(path, secret, expires=int(time.time())),
        "the image ID does not exist": signed(path, foreign),
        "the signature is not valid any more: the key was revoked": target,
    }
    rows = re.findall(r"^\| ([0-9]{3}) \| `(.*?)` \|", _PAGE.read_text(), re.MULTILINE)
    in_varnish = [detail for _, detail in rows if detail not in requests]
    assert in_varnish == ["too many wrong keys or signatures"]
    for status, detail in sorted(rows, key=lambda row: "revoked" in row[1]):
        if detail in in_varnish:
            assert detail in (servers.ROOT / "varnish/access.vcl").read_text()
            continue
        if "revoked" in detail:
            site.keys("revoke", key.split("_")[1])
        # From another address each time: one that sends many wrong signatures is throttled.
        async with site.from_elsewhere() as visitor:
            await _expect(visitor, requests[detail], int(status), detail.replace("ID", image_id))


async def _expect(site: Site, target: str, status: int, detail: str) -> None:
    """A revocation takes up to 5 s, everything else no time."""
    latest = time.monotonic() + (5 if "revoked" in detail else 0)
    while (answer := await site.request("GET", target))[0] != status and time.monotonic() < latest:
        await asyncio.sleep(0.1)
    assert (answer[0], detail in answer[1]) == (status, True), answer
