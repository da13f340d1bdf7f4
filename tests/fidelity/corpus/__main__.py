"""Writes the list anew, or only the lines of some packages: `python -m tests.fidelity.corpus [PACKAGE…]`.

Keeps the reasons of differences. Writes the counts into docs/fidelity.md, and prints them and what changed.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.fidelity.corpus import counts, listed
from tests.fidelity.corpus.judging import judged, judges
from tests.fidelity.corpus.listed import UNEXPLAINED, Line
from tests.fidelity.corpus.verdict import Kind, Verdict
from tests.packages import Package, fetch, packages

Known = dict[tuple[str, str], Line]


def main(names: list[str]) -> None:
    """Judge the files of these packages, or of all."""
    known = {(line.package, line.path): line for line in listed.read()} if listed.LIST.exists() else {}
    there = packages()
    fetch(*names)
    lines = {name: [line for line in known.values() if line.package == name] for name in there}
    with judges() as pool:
        for name in names or there:
            if there[name].archive.exists():
                print(name, there[name].version, flush=True)
                lines[name] = _lines(pool, there[name], known)
                listed.write([line for each in lines.values() for line in each])
    counts.DOCUMENT.write_text(counts.document())
    print(counts.by_package(listed.read()))
    print(counts.summary(listed.read()))


def _lines(pool: ProcessPoolExecutor, package: Package, known: Known) -> list[Line]:
    digests: dict[str, str] = {}

    def files() -> Iterator[tuple[str, bytes]]:
        for path, digest, body in listed.images(package):
            digests[path] = digest
            yield path, body

    lines = [_line(package.name, path, digests[path], found, known) for path, found in judged(pool, files())]
    for line in lines:
        before = known.get((line.package, line.path))
        if before != line:
            was = f" (was {before.kind} {before.detail})" if before else ""
            print(f"  {line.path}: {line.kind} {line.detail}{was}")
    return lines


def _line(package: str, path: str, digest: str, found: Verdict, known: Known) -> Line:
    before = known.get((package, path))
    reason = (before and before.reason) or UNEXPLAINED if found.kind == Kind.DIFFERENT else ""
    return Line(package, path, digest, found.kind, " ".join(found.detail.split()), reason)


if __name__ == "__main__":
    main(sys.argv[1:])
