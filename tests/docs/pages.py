"""The pages of the site, and the blocks and URLs in them that a reader may copy."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers import ROOT

_FENCE = re.compile(
    r"^(?: *<!-- (?P<mark>not run|run by)[: ] ?(?P<reason>[^>]*?) -->\n+(?: *<!-- `make docs` [^>]*-->\n)?)?"
    r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_OF_THE_PAGE = re.compile(r"^<!-- blocks run by (\S+) -->$", re.MULTILINE)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fenced block. `reason` says why no test runs it, or `tested_by` names a test of its own."""

    page: Path
    line: int
    language: str
    text: str
    reason: str = ""
    tested_by: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page of the site but the decisions, which are about the past."""
    listed = yaml.safe_load((ROOT / "docs/site/toc.yml").read_text())
    return [ROOT / f"{listed['root']}.md", *(ROOT / f"{name}.md" for name in _files(listed))]


def _files(entry: Any) -> Iterator[str]:
    for child in [*entry.get("subtrees", []), *entry.get("entries", [])]:
        if "file" in child:
            yield child["file"]
        yield from _files(child)


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, without the indentation of lists."""
    text = page.read_text()
    return [_block(page, text, found) for found in _FENCE.finditer(text)]


def _block(page: Path, text: str, found: re.Match[str]) -> Block:
    code = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
    reasons = {"not run": "reason", "run by": "tested_by"}
    mark = {reasons[found["mark"]]: found["reason"]} if found["mark"] else {}
    if not mark and found["language"] != "sh" and (of_page := _OF_THE_PAGE.search(text)):
        mark = {"tested_by": of_page[1]}
    return Block(page, text.count("\n", 0, found.start("language")) + 1, found["language"], code, **mark)


def the_block(page: str, containing: str) -> Block:
    """The only block of a page that contains this text."""
    (found,) = [block for block in blocks(ROOT / page) if containing in block.text]
    return found


def inline_code(page: Path) -> list[str]:
    """What stands between backticks in the text of a page."""
    return [code.replace("\\|", "|") for code in _CODE.findall(_FENCE.sub("", page.read_text()))]
