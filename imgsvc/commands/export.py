"""`imgsvc export`: all originals in a folder, with a manifest of their labels."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from imgsvc_client import Client, Image

from imgsvc.commands.listing import filters, named
from imgsvc.terminal.failures import DONE, FAILED, NOT_THERE, failure
from imgsvc.terminal.output import as_json, facts
from imgsvc.terminal.profiles import Service
from imgsvc.terminal.services import ServiceCommand, json_option
from imgsvc.transfers.bars import Bar, NoBar, bar
from imgsvc.transfers.files import write
from imgsvc.transfers.patience import Patience
from imgsvc.transfers.pool import Pool
from imgsvc.transfers.sources import Source, of_nothing
from imgsvc.transfers.stores import EXPORTED

EPILOG = """\
The files are FOLDER/ab/ID.jpg, where ab begins the ID. FOLDER/manifest.jsonl has a line of JSON for each image, with
`file`, `sha256` and all that is known: title, alt text, tags, metadata, focal point, visibility. `imgsvc import FOLDER`
stores all of it in another service. Run the same command
again after it was stopped: files that are complete are not fetched again. Needs a key with the scopes `list`,
`metadata` and, for private images, `read`.
"""


@click.command("export", cls=ServiceCommand, epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@filters
@click.option(
    "--parallel", type=click.IntRange(1, 16), default=4, metavar="NUMBER", help="How many at a time (default 4)."
)
@json_option
def command(service: Service, folder: Path, *, parallel: int, in_json: bool, **given: Any) -> int:
    """Write the originals of all images, or of those that fit, into FOLDER, with a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / EXPORTED
    partial = folder / f"{EXPORTED}.partial"
    with service.client() as client, bar("exported") as shown:
        client.check()
        images = client.images(page=200, **named(service, given))
        with partial.open("w", encoding="utf-8") as lines:
            counts = _export(_Exporting(client, folder), images, lines, shown, parallel=parallel, url=service.url)
            lines.flush()
            os.fsync(lines.fileno())
    partial.replace(manifest)
    if in_json:
        click.echo(as_json({**counts, "manifest": str(manifest)}))
    else:
        text = f"{counts['exported']:,} exported, {counts['known']:,} already there, {counts['failed']:,} failed"
        NoBar().say(f"{text}; {manifest} describes them")
    return FAILED if counts["failed"] else DONE


def _export(
    exporting: "_Exporting", images: Iterator[Image], lines: Any, shown: Bar, *, parallel: int, url: str
) -> Mapping[str, int]:
    counts = {"exported": 0, "known": 0, "deleted": 0, "failed": 0}
    for image, result in Pool(exporting, parallel).run(images):
        if isinstance(result, Exception):
            found = failure(result, url)
            counts["deleted" if found.exit_code == NOT_THERE else "failed"] += 1
            if found.exit_code != NOT_THERE:  # it was deleted meanwhile
                shown.say(f"imgsvc: {image.image_id}: {found.message}")
            continue
        counts["exported" if result.pop("new") else "known"] += 1
        lines.write(as_json(result) + "\n")
        shown.ended(_source(image), well=True)
    return counts


class _Exporting:
    """Writes an image into a folder, unless it is there."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._patience = Patience()

    def __call__(self, image: Image) -> dict[str, Any]:
        """Write it, and return its line of the manifest, with `new`."""
        return self._patience.kept(lambda: self._written(image))

    def _written(self, image: Image) -> dict[str, Any]:
        name = f"{image.image_id[:2]}/{image.filename}"
        file = self._folder / name
        new = not file.exists() or file.stat().st_size != image.bytes
        details = self._client.info(image)
        if new:
            content = self._client.download(image)
            if hashlib.sha256(content).hexdigest() != image.sha256:
                raise OSError(0, "the file has other bytes than were stored; run `imgsvc scrub`")
            file.parent.mkdir(exist_ok=True)
            write(file, content, force=True)
        return {"file": name, **facts(details), "new": new}


def _source(image: Image) -> Source:
    return of_nothing(image.image_id, image.bytes)
