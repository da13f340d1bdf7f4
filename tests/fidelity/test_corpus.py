"""Image files of other projects' test suites are shown right, refused with the reason, or differ for a known reason.

`tests/fidelity/corpus/list.tsv` says which. After a change, `python -m tests.fidelity.corpus` writes it anew.
"""

import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests import servers
from tests.fidelity.corpus import counts, listed
from tests.fidelity.corpus.judging import judged, judges
from tests.fidelity.corpus.listed import UNEXPLAINED, Line
from tests.fidelity.corpus.verdict import Kind, Verdict
from tests.packages import Package, fetch, packages

_SHARE = 1 if os.environ.get("LONG") else 16
"""One file in so many is judged, and each that differs."""
_NUMBERS = re.compile(r"up to (\d+), ([\d.]+) on average")
_SPREAD = 1.2
_DOUBLES = 0.3

LINES = listed.read()


@pytest.fixture(scope="module")
def fetched() -> None:
    """All packages, as far as this machine can get them: one after the other takes longer."""
    fetch()


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with judges() as processes:
        yield processes


def archive(name: str) -> Package:
    """A package. Debian keeps one version of each; all others must be there in CI."""
    package = packages()[name]
    if not package.archive.exists():
        reason = f"cannot fetch {name} {package.version} ({package.registry})"
        if package.registry == "debian":
            pytest.skip(f"{reason}; another release of Debian has another version")
        servers.missing(reason)
    return package


@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize("name", packages())
def test_files_are_what_the_list_says(pool: ProcessPoolExecutor, name: str) -> None:
    lines = {line.path: line for line in LINES if line.package == name}
    found = {path: (digest, body) for path, digest, body in listed.images(archive(name))}
    assert {path: digest for path, (digest, _) in found.items()} == {path: each.digest for path, each in lines.items()}
    chosen = {path: found[path][1] for path, line in lines.items() if is_chosen(line)}
    changed = [
        f"{path}: {verdict}" for path, verdict in judged(pool, chosen.items()) if not holds(lines[path], verdict)
    ]
    assert not changed, "\n".join([*changed, "run `python -m tests.fidelity.corpus` and read what it prints"])


def is_chosen(line: Line) -> bool:
    return line.kind == Kind.DIFFERENT or int(line.digest, 16) % _SHARE == 0


def holds(line: Line, found: Verdict) -> bool:
    """Whether a verdict is that of the list. Known differences may shrink a little, or grow by a fifth."""
    detail = " ".join(found.detail.split())
    if (line.kind, line.detail) == (found.kind, detail):
        return True
    before, after = _NUMBERS.search(line.detail), _NUMBERS.search(detail)
    if line.kind != found.kind or not before or not after:
        return False
    return float(after[2]) <= _SPREAD * float(before[2]) + _DOUBLES


def test_every_difference_has_a_reason() -> None:
    assert not [str(line) for line in LINES if line.kind == Kind.DIFFERENT and line.reason in {"", UNEXPLAINED}]


def test_every_refusal_has_a_reason() -> None:
    assert not [str(line) for line in LINES if line.kind == Kind.REFUSED and not line.detail]


def test_the_list_is_sorted_and_has_each_file_once() -> None:
    keys = [(line.package, line.path) for line in LINES]
    assert keys == sorted(set(keys))
    assert {line.package for line in LINES} == set(packages())


def test_most_files_agree() -> None:
    """Of those that are not refused: a list that was filled with differences would say nothing."""
    assert _count(LINES, Kind.AGREES) > 50 * _count(LINES, Kind.DIFFERENT)


def _count(lines: Iterable[Line], kind: Kind) -> int:
    return sum(line.kind == kind for line in lines)


def test_the_document_has_the_counts() -> None:
    assert counts.DOCUMENT.read_text() == counts.document(), "run `python -m tests.fidelity.corpus`"
