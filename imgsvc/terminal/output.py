"""What commands print: facts about images, for people and as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from imgsvc_client import Image

_UNITS = ("B", "kB", "MB", "GB", "TB")


def as_json(value: object) -> str:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def facts(image: "Image") -> dict[str, Any]:
    """All fields of an image, as the service names them, with its URL."""
    found = {field.name: getattr(image, field.name) for field in fields(image) if field.name != "context"}
    return {"image_id": image.image_id, "url": image.url(), **found}


def say(text: str) -> None:
    """Tell people about what takes time."""
    click.echo(f"imgsvc: {text}", err=True)


def size(number: int) -> str:
    """A number of bytes, for people."""
    value, unit = float(number), 0
    while value >= 1000 and unit < len(_UNITS) - 1:  # noqa: PLR2004
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_UNITS[unit]}" if value < 1000 else f"{value:.0f} {_UNITS[unit]}"  # noqa: PLR2004


def count(number: int, what: str) -> str:
    """A number of things: `1 file`, `2 files`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def rows(lines: Iterable[Sequence[str]], headings: Sequence[str], widths: Sequence[int]) -> int:
    """Print lines in columns of given widths as they come. The headings appear with the first. Returns their number."""
    number = 0
    for number, line in enumerate(lines, 1):
        if number == 1:
            _row(headings, widths)
        _row(line, widths)
    return number


def pairs(named: Mapping[str, object]) -> None:
    """Print names and values in two columns."""
    width = max(map(len, named), default=0)
    for name, value in named.items():
        click.echo(f"{name.ljust(width)}  {_text(value)}".rstrip())


def _row(texts: Sequence[str], widths: Sequence[int]) -> None:
    click.echo("  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    if value is None or value in ("", (), {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return as_json(value) if isinstance(value, dict) else str(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
