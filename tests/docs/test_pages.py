"""Every command and every URL on the pages of the site works, as a reader would copy it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
import pyvips
from yarl import URL

from docs.openapi import document
from tests import servers
from tests.docs.pages import Block, blocks, inline_code, pages
from tests.docs.reader import Reader
from tests.imgsvc.sites import Site, bearer, closed_site
from tests.servers import ROOT, Served

_PAGES = pages()
_COMMAND = re.compile(r"^\s*\$? ?(curl|imgsvc|make|docker|docker-compose|pip|npm|python3?) ", re.MULTILINE)
_REQUEST = re.compile(r"(?:(GET|HEAD|POST|PUT|PATCH|DELETE) )?(?:https?://[^/\s]+)?(/v1/[^\s]*)")
_ID = re.compile(r"\bID\b|\{id\}|\{image_id\}|\bIMAGE_ID\b")
_COMPLETE = re.compile(r"(?!.*([{}…\[\]]|\b[A-Z]{3,}\b|=$|=&))(/v1/(?!transform$).*)")
_SIDES = re.compile(r"\| (\d+) \u00d7 (\d+) \|$", re.MULTILINE)


_NEW_KEY = "imgsvc keys create test --scope upload --scope sign --json | grep -oPm1 'key_id\": \"\\K\\w+'"
_A_KEY = f"${{A_KEY:=$({_NEW_KEY})}}"
"""The ID of a key, the same in all blocks of a page."""
_PLACEHOLDERS = {
    "docs/access.md": {
        "Bearer $KEY": "Bearer $(imgsvc keys create test --scope upload | head -1)",
        "imgsvc sign URL": "imgsvc sign /v1/images/0123456789abcdef0123456789abcdef",
        "keys rotate ID": f"keys rotate {_A_KEY}",
        "keys revoke ID": f"keys revoke {_A_KEY}",
        "--key ID": f"--key {_A_KEY}",
    },
    "docs/events.md": {" ID": " $(imgsvc webhooks create https://example.com/hook | head -1)"},
    "docs/signed-urls.md": {"keys rotate ID": f"keys rotate {_A_KEY}"},
}
"""What a reader has to write instead of words in capitals."""


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The service of all pages that do not start their own."""
    with servers.serve(tmp_path_factory.mktemp("served"), AUTH="auto") as served:
        yield served


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    """A service with keys, for the URLs in texts."""
    remote = {"REMOTE_ALLOWED_NETWORKS": '["127.0.0.0/8"]', "REMOTE_PORTS": json.dumps([port := servers.free_port()])}
    with closed_site(tmp_path_factory.mktemp("closed"), http, PORT=str(port), **remote) as closed:
        yield closed


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the page about S3 says, and what it is here."""
    with servers.s3(tmp_path_factory.mktemp("s3")) as settings:
        yield {
            "https://s3.eu-central-1.amazonaws.com": settings["AWS_ENDPOINT"],
            "AKIA…": settings["AWS_ACCESS_KEY_ID"],
            "abcd…": settings["AWS_SECRET_ACCESS_KEY"],
        }


@pytest.fixture(scope="module")
async def image_id(closed: Site, photo_on_disk: bytes) -> str:
    """The photo, in that service."""
    headers = {"Content-Type": "image/jpeg", **bearer(closed.key)}
    _, text = await closed.request("POST", "/v1/images", headers, photo_on_disk)
    return str(json.loads(text)["image_id"])


@pytest.fixture(scope="module")
def files(closed: Site, image_id: str, photo_on_disk: bytes) -> dict[str, bytes]:
    """What readers have in their folder: photos, and the URL of a picture on another server."""
    urls = f"{closed.url}/v1/images/{image_id}\n"
    return {"photo.jpg": photo_on_disk, "beach.jpg": photo_on_disk, "urls.txt": urls.encode()}


@pytest.fixture
def reader(
    page: Path, served: Served, files: dict[str, bytes], bucket: dict[str, str], tmp_path: Path
) -> Iterator[Reader]:
    """Has these files, and a service, unless the page starts one."""
    starts_its_own = any("make run" in block.text for block in blocks(page) if not block.reason)
    reader = Reader(tmp_path, *(() if starts_its_own else (served.url, served.log.parent / "data")))
    reader.replacements = {**bucket, **_PLACEHOLDERS.get(_id(page), {})}
    for name, content in files.items():
        reader.add(name, content)
    yield reader
    reader.close()


@pytest.mark.parametrize("page", [page for page in _PAGES if blocks(page)], ids=_id)
async def test_the_blocks_of_a_page_work(page: Path, reader: Reader, closed: Site, image_id: str) -> None:
    for block in filter(_is_for_the_reader, blocks(page)):
        if block.language == "html":
            for url in reader.urls(block):
                await _works(closed, image_id, url)
        else:
            reader.follow(block)


def _is_for_the_reader(block: Block) -> bool:
    """Whether this test has to run it."""
    named = re.findall(r"tests/[\w/.]*\w", block.reason + block.tested_by)
    assert all((ROOT / name).exists() for name in named), f"{block} names a test that does not exist"
    if block.reason:
        if block.language == "sh":
            subprocess.run(["bash", "-n", "-c", block.text], check=True)
        return False
    if block.tested_by:
        assert block.page.name in (ROOT / block.tested_by).read_text(), f"{block}: {block.tested_by} does not read it"
        return False
    if not block.language:
        assert not _COMMAND.search(block.text), f"{block} has commands: write ```sh"
        return False
    return True


@pytest.mark.parametrize("page", _PAGES, ids=_id)
async def test_the_urls_in_the_text_of_a_page_work(page: Path, closed: Site, image_id: str) -> None:
    for code in inline_code(page):
        if found := _REQUEST.fullmatch(code):
            path = _ID.sub(image_id, found[2])
            methods = _methods(path)
            asked = {found[1]} if found[1] else methods
            assert asked & methods, f"{_id(page)}: {code} is no request that the API has"
            if found[1] in {"GET", None} and "GET" in methods and _COMPLETE.fullmatch(path):
                await _works(closed, image_id, path)


@pytest.mark.parametrize("name", ["from-cloudinary", "from-thumbor", "from-imgproxy", "from-imbo"])
async def test_a_url_of_another_service_becomes_one_with_that_size(name: str, closed: Site, image_id: str) -> None:
    """Tables of the guides say how large the result is for the photo."""
    rows = [line for line in (ROOT / f"docs/how-to/{name}.md").read_text().splitlines() if _SIDES.search(line)]
    assert len(rows) > 5
    for row in rows:
        path = re.findall(r"`(/v1/images/ID[^`]*)`", row)[-1]
        status, body = await _get(closed, _ID.sub(image_id, path))
        assert status == 200, row
        image = pyvips.Image.new_from_buffer(body, "")
        assert _SIDES.findall(row) == [(str(image.width), str(image.height))], (row, image.width, image.height)


def _methods(path: str) -> set[str]:
    """Those that the OpenAPI document has for a path."""
    bare = re.sub(r"\?.*|\[.*", "", path).removeprefix("/v1").replace("…", "x")
    paths = document()["paths"].items()
    templates = {re.sub(r"\{\w+\}", "[^/.]+", path.replace("{name}", ".+")): methods for path, methods in paths}
    names = {
        name.upper() for template, methods in templates.items() if re.fullmatch(template, bare) for name in methods
    }
    return names | ({"HEAD"} if "GET" in names else set())


async def _works(closed: Site, image_id: str, url: str) -> None:
    path = url[url.index("/v1/") :]
    # A picture of another server is the one of this server.
    path = re.sub(r"url=[^&]+", f"url={quote(f'{closed.url}/v1/images/{image_id}', safe='')}", path)
    status, body = await _get(closed, _ID.sub(image_id, path))
    assert status < 400, (url, body)


async def _get(closed: Site, path: str) -> tuple[int, bytes]:
    url = URL(f"{closed.url}{path}", encoded=True)
    async with closed.http.get(url, headers=bearer(closed.key), allow_redirects=False) as response:
        return response.status, await response.read()
