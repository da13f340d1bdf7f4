"""Counts of the list, as Markdown tables: in docs/fidelity.md, and for whoever runs the command."""

import re
from collections import Counter
from collections.abc import Iterable

from tests import servers
from tests.fidelity.corpus import listed
from tests.fidelity.corpus.listed import Line
from tests.fidelity.corpus.verdict import Kind
from tests.packages import packages

DOCUMENT = servers.ROOT / "docs/fidelity.md"
_COUNTS = re.compile(r"(?<=<!-- counts -->\n).*(?=<!-- end -->)", re.DOTALL)
_REGISTRIES = {
    "sdist": "PyPI, sources",
    "wheel": "PyPI, wheels",
    "npm": "npm",
    "debian": "Debian, sources",
}
_REFUSALS = [
    ("another format, which the message names if it is known", r"the file is "),
    ("damaged, found at the first render", r"after the upload: the image is corrupt"),
    ("over a limit", r".*(limit is|more than|after the upload: the image itself)"),
    ("samples or a compression that are not read", r".*(save it |not supported|not configured|precision|labq)"),
    ("corrupt or truncated", r""),
]


def document() -> str:
    """The document with the counts of the list as it is now."""
    return _COUNTS.sub(lambda _: summary(listed.read()) + "\n", DOCUMENT.read_text())


def by_package(lines: Iterable[Line]) -> str:
    """The kinds of each package."""
    return _kinds("package", [(line.package, line.kind) for line in lines])


def summary(lines: list[Line]) -> str:
    """The kinds of each registry, and the reasons."""
    known = packages()
    refused = (line.detail for line in lines if line.kind == Kind.REFUSED)
    reasons = Counter(next(name for name, text in _REFUSALS if re.match(text, detail)) for detail in refused)
    different = Counter(line.reason for line in lines if line.kind == Kind.DIFFERENT)
    return "\n\n".join(
        [
            _kinds("from", [(_REGISTRIES[known[line.package].registry], line.kind) for line in lines]),
            _table(["refused", "files"], reasons.most_common()),
            _table(["known difference", "files"], different.most_common()),
        ]
    )


def _kinds(name: str, found: list[tuple[str, Kind]]) -> str:
    counts, total = Counter(found), Counter(kind for _, kind in found)
    rows: list[tuple[object, ...]] = [
        (each, *(counts[each, kind] for kind in Kind)) for each in sorted({each for each, _ in found})
    ]
    return _table([name, *Kind], [*rows, ("all", *(total[kind] for kind in Kind))])


def _table(head: list[str], rows: Iterable[tuple[object, ...]]) -> str:
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows))
