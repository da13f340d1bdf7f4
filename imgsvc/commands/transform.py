"""`imgsvc transform`: runs a chain on local files, without a service."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from imgsvc.terminal.failures import DONE, FAILED, USAGE, Failure, complain
from imgsvc.terminal.output import as_json
from imgsvc.terminal.services import json_lines
from imgsvc.transfers.files import check_target
from service_kit.errors import CannotStart, ServiceError
from service_kit.observing.logging import configure_logging
from service_kit.settings import read_settings
from transform_service.local import LocalTransformer
from transform_service.settings import TransformSettings

EPILOG = """\
\b
examples:
  imgsvc transform 'thumb=300' photo.jpg -o small.webp
  imgsvc transform 'rotate=90&blur=2' *.jpg --to turned --format avif
  imgsvc transform 'thumb=800&watermark=logo.png,southeast,0.5' photo.jpg -o -

docs/operations.md has all operations. A watermark is a file here, and presets are those in PRESETS. Limits, such as
MAX_PIXELS, are those of the settings.
"""


@click.command("transform", epilog=EPILOG)
@click.argument("chain")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="FILE", help="Where to write the result of one file; - is stdout.")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="A folder for the results.")
@click.option("--format", "fmt", metavar="EXT", help="The format (default: that of -o, or of the image).")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@json_lines
def command(
    chain: str,
    files: tuple[Path, ...],
    *,
    output: str | None,
    to: Path | None,
    fmt: str | None,
    force: bool,
    in_json: bool,
) -> int:
    """Run operations on local files, as the service would: CHAIN is what stands behind the ? of a URL."""
    if bool(output) == bool(to) or (output and len(files) > 1):
        raise Failure("say where to write: -o FILE for one file, or --to FOLDER for several", USAGE)
    configure_logging("ERROR", "text")
    try:
        (settings,) = read_settings(TransformSettings)
    except CannotStart as error:
        raise Failure(str(error), USAGE) from error
    if output == "-":
        return asyncio.run(_to_stdout(settings, chain, files[0], fmt))
    if to:
        to.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_all(settings, chain, [*_targets(files, output, to)], fmt, force=force, in_json=in_json))


def _targets(files: Sequence[Path], output: str | None, to: Path | None) -> Iterator[tuple[Path, Path | str]]:
    for file in files:
        yield file, str(to / file.stem) if to else Path(str(output))


async def _all(
    settings: TransformSettings,
    chain: str,
    jobs: Sequence[tuple[Path, Path | str]],
    fmt: str | None,
    *,
    force: bool,
    in_json: bool,
) -> int:
    failed = 0
    async with LocalTransformer(settings) as transformer:
        for source, target in jobs:
            try:
                extension = _extension(chain, target, fmt, force=force)
                done = await transformer.transform(chain, source, target, extension)
                facts = {"source": str(source), "file": str(done.file), "format": done.format, "bytes": done.bytes}
                click.echo(as_json(facts) if in_json else done.file)
            except (Failure, OSError, ServiceError, ValueError) as error:
                failed += 1
                said = f"{error.filename or source}: {error.strerror}" if isinstance(error, OSError) else str(error)
                complain(said if isinstance(error, OSError) or len(jobs) == 1 else f"{source}: {said}")
    return FAILED if failed else DONE


def _extension(chain: str, target: Path | str, fmt: str | None, *, force: bool) -> str | None:
    """The format that the option or the name of the result asks for."""
    if isinstance(target, str):
        return fmt
    check_target(target, force=force)
    is_said = fmt or "format=" in chain or "fm=" in chain
    return fmt if is_said else target.suffix.lstrip(".").lower() or None


async def _to_stdout(settings: TransformSettings, chain: str, source: Path, fmt: str | None) -> int:
    if sys.stdout.isatty():
        raise Failure("stdout is a terminal, which cannot show an image; use -o FILE", USAGE)
    with tempfile.TemporaryDirectory(prefix="imgsvc-") as folder:
        try:
            async with LocalTransformer(settings) as transformer:
                done = await transformer.transform(chain, source, f"{folder}/result", fmt)
        except (ServiceError, ValueError) as error:
            raise Failure(str(error)) from error
        sys.stdout.buffer.write(done.file.read_bytes())
        sys.stdout.buffer.flush()
    return DONE
