"""`imgsvc upload`: stores files, folders, patterns, URLs and what comes from stdin."""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from imgsvc.terminal import output
from imgsvc.terminal.failures import DONE, FAILED, Failure, complain
from imgsvc.terminal.kinds import JsonObject, Point
from imgsvc.terminal.output import as_json
from imgsvc.terminal.profiles import Service
from imgsvc.terminal.services import ServiceCommand, json_lines
from imgsvc.transfers.bars import Bar, NoBar, bar
from imgsvc.transfers.index import Index, Record
from imgsvc.transfers.patience import Patience
from imgsvc.transfers.run import Outcome, left_out, store, summary
from imgsvc.transfers.sources import EXTENSIONS, Found, Source, of_arguments
from imgsvc.transfers.storing import Storing

EPILOG = """\
\b
examples:
  imgsvc upload photo.jpg --title Sunset --tag sea --tag france
  imgsvc upload ~/Pictures 'scans/**/*.tif' https://example.com/a.png
  convert rose: png:- | imgsvc upload -

A second run sends nothing twice: what has been stored is remembered in ~/.local/state/imgsvc, by path and content, and
an upload that was interrupted is one image. If the image was deleted meanwhile, it is stored again.
"""


@click.command("upload", cls=ServiceCommand, epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="FILE|FOLDER|PATTERN|URL|-...")
@click.option("--title", help="What the image is called.")
@click.option("--alt", help="What the picture shows, for those who do not see it.")
@click.option("--tag", "tags", multiple=True, help="A tag; repeatable.")
@click.option("--metadata", type=JsonObject(), help="A JSON object of your own, such as '{\"sku\": 7}'.")
@click.option("--focus", type=Point(), help="Where the subject is, such as 0.3,0.6: shares of width and height.")
@click.option("--ttl", type=click.IntRange(1), metavar="SECONDS", help="Delete the image after some time.")
@click.option("--private", is_flag=True, help="Show the image only to those with a key or a signed URL.")
@click.option("--space", metavar="NAME", help="The space that it belongs to.")
@click.option("--name", help="The file name of a single image, instead of its own.")
@click.option("--again", is_flag=True, help="Store what is stored already once more, as another image.")
@click.option(
    "--parallel", type=click.IntRange(1, 16), default=8, metavar="NUMBER", help="How many at a time (default 8)."
)
@json_lines
def command(
    service: Service,
    sources: tuple[str, ...],
    *,
    private: bool,
    again: bool,
    parallel: int,
    in_json: bool,
    **labels: Any,
) -> int:
    """Store images: files, folders with all below them, patterns in quotes, URLs, or - for stdin.

    Prints the URL of each. Of folders, it takes files that are images by their names.
    """
    given = labels_of(service, private=private, labels=labels)
    found = _look(sources)
    with service.client() as client:
        client.check("upload")
    with service.client() as client, bar("stored", found.files, found.bytes) as shown:
        storing = Storing(client, given, shown.sent, Patience(output.say), verify=True, again=again)
        records = _remembered(_state(service, given))
        images = of_arguments(sources) if not labels["name"] else _named(sources, labels["name"])
        outcome = store(
            images, storing, records, shown, parallel=parallel, show=shown_as(shown, in_json=in_json), url=service.url
        )
    _sum_up(outcome, found)
    return FAILED if outcome.failed else DONE


def labels_of(service: Service, *, private: bool, labels: Mapping[str, Any]) -> dict[str, Any]:
    """What uploads say about their images, as the client takes it."""
    given = {name: value for name, value in labels.items() if value and name != "name"}
    if "tags" in given:
        given["tags"] = [*given["tags"]]
    if private:
        given["visibility"] = "private"
    if service.space:
        given.setdefault("space", service.space)
    return given


def _look(sources: tuple[str, ...]) -> Found:
    """Count the files, so that the bar knows the end. Fails before anything is sent if there are none."""
    found = Found()
    for _ in of_arguments(sources, found):
        pass
    if not found.files:
        others = f" ({found.others} other files)" if found.others else ""
        known = ", ".join(sorted(EXTENSIONS))
        raise Failure(f"there are no images in {' '.join(sources)}{others}; images end with {known}")
    return found


def _named(sources: tuple[str, ...], name: str) -> Iterator[Source]:
    images = [*of_arguments(sources)]
    if len(images) > 1:
        raise Failure(f"--name is for one image, and there are {len(images)}; leave it out")
    source = images[0]
    yield Source(source.name, name, source.open, source.size, source.modified)


def _remembered(file: Path) -> Index:
    """What has been stored, or nothing if there is no place to remember it."""
    try:
        return Index(file)
    except (OSError, sqlite3.Error) as error:
        complain(f"warning: cannot write {file} ({error}), so a second run sends everything again")
        return Index()


def _state(service: Service, given: Mapping[str, Any]) -> Path:
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    where = f"{service.url.rstrip('/').removesuffix('/v1')}\0{given.get('space', '')}"
    return base / "imgsvc" / f"uploads-{hashlib.sha256(where.encode()).hexdigest()[:16]}.db"


def shown_as(shown: Bar, *, in_json: bool, only_news: bool = False) -> Callable[[Record], None]:
    """Prints the URL of each image, or its record."""

    def show(record: Record) -> None:
        if only_news and not record.get("new", True):
            return
        if in_json:
            shown.out(as_json(record))
        elif "url" in record and not only_news:
            shown.out(record["url"])

    return show


def _sum_up(outcome: Outcome, found: Found) -> None:
    if outcome.stored + outcome.known + outcome.failed == 1 and not outcome.failed:
        return
    lines = [*summary(outcome, "stored")]
    if found.others:
        lines.append(left_out(found))
    for line in lines:
        NoBar().say(line)
