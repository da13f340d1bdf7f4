"""Commands with parsers of argparse, which `python -m storage_service.keys` uses as well, as commands of click."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import click

from imgsvc.terminal.groups import resolved

Run = Callable[[argparse.Namespace], int]


class _Command(click.Command):
    """A command that takes the beginning of an option for the option, as argparse does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        known = [name for param in self.get_params(ctx) for name in param.opts if name.startswith("--")]
        return super().parse_args(ctx, list(_completed(args, known)))


class _Group(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return resolved(self, ctx, args)


class _Converted(click.ParamType[Any]):
    """A type of argparse."""

    def __init__(self, name: str, convert: Callable[[str], Any]) -> None:
        self.name = name
        self._convert = convert

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        try:
            return self._convert(value) if isinstance(value, str) else value
        except argparse.ArgumentTypeError as error:
            self.fail(str(error), param, ctx)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not {'a whole number' if self._convert is int else 'valid'}", param, ctx)


def borrowed(name: str, options_of: str, run_of: str) -> click.Command:
    """The command `name` of the modules with `add_options` and with `run`."""
    parser = argparse.ArgumentParser(prog=f"imgsvc {name}")
    import_module(options_of).add_options(parser)
    return command_of(name, parser, import_module(run_of).run, {})


def command_of(name: str, parser: argparse.ArgumentParser, run: Run, given: dict[str, Any]) -> click.Command:
    """A parser as a command. `given` is what the parsers above it have set."""
    given = given | {action.dest: action.default for action in parser._actions if action.default != argparse.SUPPRESS}
    given |= parser._defaults
    texts = {"help": _paragraphs(parser.description), "epilog": _paragraphs(parser.epilog)}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            group = _Group(name, **texts)  # type: ignore[arg-type]
            summaries = {each.dest: each.help for each in action._choices_actions}
            for below, each in action.choices.items():
                command = command_of(below, each, run, given | {action.dest: below})
                command.short_help = summaries[below]
                command.help = command.help or _sentence(summaries[below])
                group.add_command(command)
            return group

    several = {action.dest for action in parser._actions if _takes_several(action)}

    def callback(**values: Any) -> int:
        by_user = {dest: [*value] if dest in several else value for dest, value in values.items() if _is_given(value)}
        return run(argparse.Namespace(**given | by_user))

    return _Command(name, params=[*_params(parser)], callback=callback, **texts)  # type: ignore[arg-type]


def _takes_several(action: argparse.Action) -> bool:
    return isinstance(action, argparse._AppendAction) or action.nargs in {"*", "+"}


def _is_given(value: object) -> bool:
    """Whether somebody has written it: 0 is a value, too."""
    return value is not None and value is not False and value != ()


def _params(parser: argparse.ArgumentParser) -> Iterator[click.Parameter]:
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._VersionAction):
            continue
        if action.option_strings:
            yield _option(action)
        else:
            required = action.nargs not in {"?", "*"}
            number = -1 if action.nargs in {"*", "+"} else 1
            metavar = str(action.metavar or action.dest).upper()
            yield _Argument(
                [action.dest],
                type=_type(action),
                required=required,
                nargs=number,
                metavar=metavar,
                about=_sentence(action.help),
            )


class _Argument(click.Argument):
    """An argument with an explanation in the help."""

    def __init__(self, *args: Any, about: str | None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._about = about

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """See click."""
        return self.make_metavar(ctx), self._about or ""


def _option(action: argparse.Action) -> click.Option:
    names = [*action.option_strings, action.dest]
    if action.nargs == 0:
        return click.Option(names, is_flag=True, help=_sentence(action.help))
    metavar = None if action.choices else str(action.metavar or action.dest.upper())
    return click.Option(
        names,
        type=_type(action),
        required=action.required,
        multiple=isinstance(action, argparse._AppendAction),
        metavar=metavar,
        help=_sentence(action.help),
    )


def _type(action: argparse.Action) -> click.ParamType[Any] | None:
    if action.choices:
        return click.Choice([*action.choices])
    convert = action.type
    return _Converted(action.dest, convert) if callable(convert) else None


def _sentence(text: str | None) -> str | None:
    """A help text as the other commands have it: argparse's begin with a small letter."""
    return text and f"{text[0].upper()}{text[1:].rstrip('.')}."


def _paragraphs(text: str | None) -> str | None:
    """A text whose lines stay as they are."""
    return text and "\n\n".join(f"\b\n{paragraph}" for paragraph in text.strip().split("\n\n"))


def _completed(args: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    """The arguments, with each beginning of exactly one option as that option."""
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            yield arg
            break
        name, equals, value = arg.partition("=")
        longer = [option for option in {*known, "--help"} if option.startswith(name)]
        unique = name.startswith("--") and name not in known and len(longer) == 1
        yield f"{longer[0]}{equals}{value}" if unique else arg
    yield from rest
