"""The list: a line for each image file of the packages, with what comes of it and why."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from imaging.formats import SNIFF_BYTES, sniff
from tests.fidelity.corpus.verdict import Kind
from tests.packages import Package

LIST = Path(__file__).with_name("list.tsv")
UNEXPLAINED = "unexplained"
_IMAGE = re.compile(
    r"\.(jpe?g|jpe|jfif|png|apng|mng|jng|gif|webp|avifs?|tiff?|heic|heif|hif|jxl|jp2|j2k|bmp|ico|cur|psd|tga|p[bgpn]m)$",
    re.IGNORECASE,
)
_ELSEWHERE = {"qtbase-opensource-src": "tests/"}
"""The only folder to look at, of packages with thousands of pictures of their documentation."""


@dataclass(frozen=True)
class Line:
    """A file, what came of it, and why."""

    package: str
    path: str
    digest: str
    """The start of its SHA-256."""
    kind: Kind
    detail: str = ""
    """Why it is refused, or how it differs."""
    reason: str = ""
    """Why it may differ."""

    def __str__(self) -> str:
        fields = (self.package, self.path, self.digest, self.kind, self.detail, self.reason)
        return "\t".join(fields).rstrip("\t")


def read() -> list[Line]:
    """All lines."""
    found = []
    for text in LIST.read_text().splitlines():
        package, path, digest, kind, *rest = text.split("\t")
        found.append(Line(package, path, digest, Kind(kind), *rest))
    return found


def write(lines: list[Line]) -> None:
    """Replace the list."""
    LIST.write_text("".join(f"{line}\n" for line in sorted(lines, key=lambda line: (line.package, line.path))))


def images(package: Package) -> Iterator[tuple[str, str, bytes]]:
    """Path, digest and content of each image file of a package, by name or by content."""
    under = _ELSEWHERE.get(package.name, "")
    for path, body in package.files():
        if path.startswith(under) and (_IMAGE.search(path) or sniff(body[:SNIFF_BYTES])):
            yield path, sha256(body).hexdigest()[:12], body
