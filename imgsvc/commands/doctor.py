"""`imgsvc doctor`: inspects a deployment, and says what is wrong and what to do."""

import asyncio
import os
from collections.abc import Iterator

import click

from imgsvc.checks.findings import Finding, Level
from imgsvc.terminal.failures import DONE, FAILED
from imgsvc.terminal.output import as_json, count
from imgsvc.terminal.profiles import Service
from imgsvc.terminal.services import ServiceCommand, json_lines

_MARKS = {Level.GOOD: "ok", Level.NOTE: "note", Level.WARNING: "warning", Level.PROBLEM: "PROBLEM"}
_COLOURS = {Level.GOOD: "green", Level.NOTE: None, Level.WARNING: "yellow", Level.PROBLEM: "red"}
EPILOG = """\
From outside, it looks at health, version, TLS, clock, keys, limits of uploads, errors and caching. From inside, with
the settings of the service in the environment, at the settings themselves, the database, the blob store, Redis, free
disk, the sandbox and libvips. In containers:
`docker compose run --rm --no-deps storage python -m imgsvc doctor --inside`.

exit code: 0 no problems, perhaps warnings; 1 problems.
"""


@click.command("doctor", cls=ServiceCommand, epilog=EPILOG)
@click.option("--outside", is_flag=True, help="Look from outside, by the URL (default).")
@click.option("--inside", is_flag=True, help="Look from inside, by the settings in the environment.")
@click.option("--write", is_flag=True, help="Also store a small image, transform it and delete it.")
@json_lines
def command(service: Service, *, outside: bool, inside: bool, write: bool, in_json: bool) -> int:
    """Inspect a deployment from outside, by its URL, or from inside, by its settings."""
    levels = []
    for finding in _findings(service, outside=outside or write or not inside, inside=inside, write=write):
        levels.append(finding.level)
        _show(finding, in_json=in_json)
    problems, warnings = levels.count(Level.PROBLEM), levels.count(Level.WARNING)
    if not in_json:
        click.echo(f"{count(problems, 'problem')}, {count(warnings, 'warning')}")
    return FAILED if problems else DONE


def _findings(service: Service, *, outside: bool, inside: bool, write: bool) -> Iterator[Finding]:
    if outside:
        yield from _outside(service, write=write)
    if inside:
        yield from asyncio.run(_inside())


def _outside(service: Service, *, write: bool) -> Iterator[Finding]:
    from imgsvc.checks import outside, writing  # noqa: PLC0415  # only what is asked for
    from imgsvc.checks.requests import Examined  # noqa: PLC0415

    service.client().close()  # refuses what is not a URL
    examined = Examined(service.url, service.key)
    answers = True
    for finding in outside.look(examined):
        answers = answers and not (finding.check == "health" and finding.level is Level.PROBLEM)
        yield finding
    if write and answers:
        yield from writing.write(examined)


async def _inside() -> list[Finding]:
    from imgsvc.checks import inside  # noqa: PLC0415  # takes a second
    from service_kit.observing.logging import configure_logging  # noqa: PLC0415

    configure_logging("ERROR", "text")
    return [finding async for finding in inside.look()]


def _show(finding: Finding, *, in_json: bool) -> None:
    if in_json:
        facts = {"check": finding.check, "level": finding.level, "text": finding.text, "advice": finding.advice or None}
        click.echo(as_json(facts))
        return
    mark = click.style(f"{_MARKS[finding.level]:8}", fg=_COLOURS[finding.level])
    colours = False if os.environ.get("NO_COLOR") else None
    click.echo(
        f"{mark} {finding.check:9} {finding.text}{f'; {finding.advice}' if finding.advice else ''}", color=colours
    )
