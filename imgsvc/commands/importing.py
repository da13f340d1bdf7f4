"""`imgsvc import`: takes over all images of another place, with a manifest of what went where."""

from pathlib import Path
from typing import Any

import click

from imgsvc.commands.upload import labels_of, shown_as
from imgsvc.terminal import output
from imgsvc.terminal.failures import DONE, FAILED, USAGE, Failure
from imgsvc.terminal.output import as_json
from imgsvc.terminal.profiles import Service
from imgsvc.terminal.services import ServiceCommand, json_lines
from imgsvc.transfers.bars import NoBar, bar
from imgsvc.transfers.manifest import Manifest
from imgsvc.transfers.patience import Patience
from imgsvc.transfers.run import Outcome, left_out, store, summary
from imgsvc.transfers.sources import Found
from imgsvc.transfers.stores import KINDS, images_in
from imgsvc.transfers.storing import Storing

EPILOG = """\
\b
examples:
  imgsvc import /srv/photos --tag archive
  imgsvc import s3://bucket/prefix --manifest bucket.jsonl
  imgsvc import urls.txt
  imgsvc import backup                                  (what `imgsvc export backup` has written)
  imgsvc import /var/imbo --kind imbo
  imgsvc import /tmp/thumbor/storage --kind thumbor

The manifest has a line of JSON for each source: `source`, `image_id`, `url`, `bytes`, `sha256`, and for Imbo and
thumbor the identifier there; or `error`. Run the same command again after it was stopped: it goes on, and tries again
what failed. A list of URLs has one per line. Object stores take their keys from AWS_ACCESS_KEY_ID and so on.
"""


@click.command("import", cls=ServiceCommand, epilog=EPILOG)
@click.argument("where", metavar="FOLDER|s3://BUCKET/PREFIX|FILE")
@click.option("--kind", type=click.Choice([*KINDS]), help="What it is (default: by its looks).")
@click.option(
    "--manifest",
    type=click.Path(path_type=Path, dir_okay=False),
    default="imgsvc-import.jsonl",
    help="What went where (default imgsvc-import.jsonl).",
)
@click.option("--tag", "tags", multiple=True, help="A tag for all; repeatable.")
@click.option("--private", is_flag=True, help="Show the images only to those with a key or a signed URL.")
@click.option("--space", metavar="NAME", help="The space that they belong to.")
@click.option("--verify", is_flag=True, help="Ask if the images of earlier runs still exist, and store them if not.")
@click.option(
    "--parallel", type=click.IntRange(1, 16), default=8, metavar="NUMBER", help="How many at a time (default 8)."
)
@json_lines
def command(
    service: Service,
    where: str,
    kind: str | None,
    manifest: Path,
    *,
    private: bool,
    verify: bool,
    parallel: int,
    in_json: bool,
    **labels: Any,
) -> int:
    """Store all images of a folder, an object store, a list of URLs, or a store of Imbo or thumbor."""
    given = labels_of(service, private=private, labels=labels)
    with service.client() as client:
        client.check("upload")
    found = _count(where, kind)
    with Manifest(manifest) as records, service.client() as client, bar("imported", found.files, found.bytes) as shown:
        storing = Storing(client, given, shown.sent, Patience(output.say), verify=verify)
        show = shown_as(shown, in_json=in_json, only_news=True)
        outcome = store(images_in(where, kind), storing, records, shown, parallel=parallel, show=show, url=service.url)
    _sum_up(outcome, found, manifest, in_json=in_json)
    return FAILED if outcome.failed else DONE


def _count(where: str, kind: str | None) -> Found:
    found = Found()
    for source in images_in(where, kind, found):
        found.files += 1
        found.bytes += source.size or 0
    if not found.files:
        others = f" ({found.others:,} other files)" if found.others else ""
        raise Failure(f"there are no images in {where}{others}; see --kind", USAGE)
    return found


def _sum_up(outcome: Outcome, found: Found, manifest: Path, *, in_json: bool) -> None:
    if in_json:
        done = {"stored": outcome.stored, "known": outcome.known, "failed": outcome.failed, "left_out": found.others}
        click.echo(as_json(done | {"manifest": str(manifest)}))
        return
    for line in summary(outcome, "imported"):
        NoBar().say(line)
    if found.others:
        NoBar().say(left_out(found))
    NoBar().say(f"what went where: {manifest}")
