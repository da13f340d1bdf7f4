"""Commands and groups of commands in click: imported when they are needed, with suggestions for misspelt names."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from imgsvc.terminal.failures import BROKEN_PIPE
from service_kit.suggestions import closest


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is not imported yet."""

    summary: str
    load: str
    """`module` with a click command named `command`, or `module` and the module that runs it, for argparse."""
    run: str | None = None


class Group(click.Group):
    """A group whose commands are imported when they are named."""

    def __init__(self, *, sections: Mapping[str, Mapping[str, Entry]], **settings: Any) -> None:
        super().__init__(**settings)
        self._sections = sections
        self._entries = {name: entry for section in sections.values() for name, entry in section.items()}

    def invoke(self, ctx: click.Context) -> Any:
        """See click, which takes a broken pipe for a failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise click.exceptions.Exit(pipe_is_broken()) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return [*self._entries]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See click."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        if entry.run is None:
            command: click.Command = import_module(entry.load).command
        else:
            from imgsvc.terminal.borrowed import borrowed  # noqa: PLC0415

            command = borrowed(cmd_name, entry.load, entry.run)
        command.short_help = entry.summary
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click."""
        return resolved(self, ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by section, without importing any."""
        width = max(map(len, self._entries))
        for title, entries in self._sections.items():
            with formatter.section(title):
                rows = [(name.ljust(width), entry.summary) for name, entry in entries.items()]
                formatter.write_dl(rows, col_max=width + 2)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names of commands, without importing any."""
        found = [
            CompletionItem(name, help=entry.summary)
            for name, entry in self._entries.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


def pipe_is_broken() -> int:
    """Stop writing to stdout, and return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left in the buffer
    return BROKEN_PIPE


def resolved(
    group: click.Group, ctx: click.Context, args: Sequence[str]
) -> tuple[str | None, click.Command | None, list[str]]:
    """The command that is named. Fails with the name that was meant, if one is close."""
    name = args[0]
    if (command := group.get_command(ctx, name)) is not None:
        return name, command, [*args[1:]]
    if name.startswith("-"):
        ctx.fail(f"there is no option {name!r} here")
    known = group.list_commands(ctx)
    meant = closest(name, known)
    advice = f"did you mean {meant!r}?" if meant else f"use one of: {', '.join(known)}"
    ctx.fail(f"there is no command {name!r}; {advice}")
    raise AssertionError
