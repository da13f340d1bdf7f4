"""Kinds of values of options: widths, times, points, JSON."""

import argparse
import json
from datetime import timedelta
from typing import Any

import click

from service_kit.durations import lifetime


class Widths(click.ParamType[tuple[int, ...]]):
    """Widths in pixels."""

    name = "list"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Whole numbers, separated by commas."""
        parts = str(value).split(",")
        if not all(part.isascii() and part.isdigit() and 0 < int(part) < 100_000 for part in parts):  # noqa: PLR2004
            self.fail(f"{value!r} is not a list of widths; write it as 320,640,1280", param, ctx)
        return tuple(map(int, parts))


class Lifetime(click.ParamType[timedelta]):
    """A time."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """A number with a unit."""
        try:
            return lifetime(str(value))
        except (argparse.ArgumentTypeError, ValueError) as error:
            self.fail(str(error), param, ctx)


class Point(click.ParamType[tuple[float, float]]):
    """A focal point."""

    name = "x,y"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Two shares, separated by a comma."""
        try:
            x, y = map(float, str(value).split(","))
        except ValueError:
            x = y = -1.0
        if not (0 <= x <= 1 and 0 <= y <= 1):
            self.fail(f"{value!r} is not a focal point; write it as 0.3,0.6", param, ctx)
        return x, y


class JsonObject(click.ParamType[dict[str, Any]]):
    """A JSON object."""

    name = "json"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Text that is an object."""
        try:
            found = json.loads(str(value))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self.fail(f"{str(value)[:100]!r} is not a JSON object; write it as '{{\"sku\": 7}}'", param, ctx)
        return found
