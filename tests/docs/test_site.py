"""The site of the documents builds without a warning and without the network, and its links lead somewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.servers import ROOT

_ELSEWHERE = re.compile(r"(https?:)?//")
_LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "srcset")}
_URL_IN_CSS = re.compile(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)")


class _Page(HTMLParser):
    """What a page loads, where its links lead, and its anchors."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors = {"", "top"}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if (tag, name) in _LOADED and value:
                self.loads.append(value)
            if tag == "a" and name == "href" and value:
                self.links.append(value)
            if name == "id" and value:
                self.anchors.add(value)


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[Path, _Page]:
    return {path: _Page(path.read_text()) for path in site.rglob("*.html")}


def test_the_command_builds_the_same_site() -> None:
    target = (ROOT / "Makefile").read_text().partition("\ndocs:")[2].partition("\n\n")[0]
    assert "-m sphinx -q -E -W --keep-going -c docs/site" in target
    assert "-m docs.generate" in target


def test_every_link_and_anchor_leads_somewhere(parsed: dict[Path, _Page]) -> None:
    broken = [
        f"{path.name}: {link}"
        for path, page in parsed.items()
        for link in page.links
        if not _ELSEWHERE.match(link) and not link.startswith("mailto:") and not _leads_somewhere(path, link, parsed)
    ]
    assert len(parsed) > 100
    assert not broken


def _leads_somewhere(path: Path, link: str, parsed: dict[Path, _Page]) -> bool:
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target not in parsed:
        return target.is_file()
    return unquote(parts.fragment) in parsed[target].anchors


def test_no_page_loads_anything_from_elsewhere(site: Path, parsed: dict[Path, _Page]) -> None:
    foreign = [f"{path.name}: {url}" for path, page in parsed.items() for url in page.loads if _ELSEWHERE.match(url)]
    for file in site.rglob("*.css"):
        urls = [url or imported for url, imported in _URL_IN_CSS.findall(file.read_text())]
        foreign += [f"{file.name}: {url}" for url in urls if _ELSEWHERE.match(url)]
    assert not foreign
