"""Stores many sources, shows how far it is, and says in the end what became of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from imgsvc.terminal.failures import BUSY, NO_ANSWER, Failure, failure
from imgsvc.transfers.bars import Bar
from imgsvc.transfers.index import Record
from imgsvc.transfers.pool import Pool
from imgsvc.transfers.sources import Found, Source
from imgsvc.transfers.storing import Task

_SHOWN = 20
"""Failures that are printed one by one."""
_GIVE_UP = 20
"""So many failures one after the other because the service does not respond end the run."""


class Records(Protocol):
    """Where records are kept."""

    def find(self, source: str) -> Record | None:
        """The last record of a source."""

    def add(self, record: Record) -> None:
        """Keep a record."""


@dataclass(slots=True)
class Outcome:
    """What became of many sources."""

    stored: int = 0
    known: int = 0
    failed: int = 0
    bytes: int = 0


def store(
    sources: Iterable[Source],
    storing: Callable[[Task], Record],
    records: Records,
    bar: Bar,
    *,
    parallel: int,
    show: Callable[[Record], None],
    url: str,
) -> Outcome:
    """Store sources, in no order. Raises Failure if the service does not respond any more."""
    outcome, silent = Outcome(), 0
    tasks = (Task(source, records.find(source.name)) for source in sources)
    for task, result in Pool(storing, parallel).run(tasks):
        record = _record(task.source, result, url)
        _count(outcome, record)
        if "error" not in record or "image_id" not in (task.before or {}):
            records.add({name: value for name, value in record.items() if name != "new"})
        bar.ended(task.source, well="error" not in record)
        show(record)
        if "error" in record and outcome.failed <= _SHOWN:
            bar.say(f"imgsvc: {task.source.name}: {record['error']}")
        silent = silent + 1 if record.get("code") in {NO_ANSWER, BUSY} else 0
        if silent >= _GIVE_UP and isinstance(result, Exception):
            raise failure(result, url)
    return outcome


def summary(outcome: Outcome, what: str) -> Iterator[str]:
    """The last lines for people."""
    yield f"{outcome.stored:,} {what}, {outcome.known:,} already there, {outcome.failed:,} failed"
    if outcome.failed > _SHOWN:
        yield f"{outcome.failed - _SHOWN:,} failures are not shown; --json shows all"


def left_out(found: Found) -> str:
    """The line about files that are not taken for images."""
    return f"left out, since their names are not those of images: {found.others:,}"


def _record(source: Source, result: Record | Exception, url: str) -> Record:
    if not isinstance(result, Exception):
        return result
    found = failure(result, url)
    code = found.exit_code if isinstance(found, Failure) else 1
    message = found.message
    if isinstance(result, OSError) and source.name.endswith(str(result.filename)):
        message = message.removeprefix(f"{result.filename}: ")
    return {"source": source.name, "error": message, "code": code, **source.about}


def _count(outcome: Outcome, record: Record) -> None:
    if "error" in record:
        outcome.failed += 1
    elif record["new"]:
        outcome.stored += 1
        outcome.bytes += record["bytes"]
    else:
        outcome.known += 1
