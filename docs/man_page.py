"""The manual page of `imgsvc`, from its commands."""

import re
from collections.abc import Iterator

import click

from imgsvc import __version__
from imgsvc.cli import COMMANDS, program
from imgsvc.terminal.failures import EXIT_CODES

_ENVIRONMENT = {
    "IMGSVC_URL": "The service. Default: http://127.0.0.1:8080, or the port in PORT.",
    "IMGSVC_KEY": "The key that is sent.",
    "IMGSVC_PROFILE": "A profile in the file with profiles.",
    "SIGNING_SECRET": "What `sign` and `url \\-\\-signed` sign with.",
    "NO_COLOR": "Without colours.",
}


def man_page() -> str:
    """The page, in the macros of man(7)."""
    lines = [
        '.\\" Written by `make docs` from the code. Do not edit.',
        f'.TH IMGSVC 1 "" "imgsvc {__version__}" "User Commands"',
        ".SH NAME",
        "imgsvc \\- store images and transform them on the fly",
        ".SH SYNOPSIS",
        ".B imgsvc",
        ".I COMMAND",
        "[OPTIONS] [ARGUMENTS]",
        ".SH DESCRIPTION",
        "imgsvc stores images, and any size, format or treatment of them is a URL. Each command describes itself with",
        ".BR \\-\\-help .",
    ]
    for section, entries in COMMANDS.items():
        lines.append(f".SH {section.upper()}")
        for name in entries:
            lines += _command(name)
    lines += [".SH EXIT STATUS", *_pairs({str(code): f"{text}." for code, text in EXIT_CODES.items()})]
    lines += ["Commands with codes of their own list them above.", ".SH ENVIRONMENT"]
    lines += [*_pairs(_ENVIRONMENT), "Commands next to a service read its settings: docs/configuration.md."]
    lines += [".SH FILES", *_pairs({"~/.config/imgsvc/config.toml": "Profiles.", "~/.local/state/imgsvc/": _STATE})]
    return "\n".join(lines) + "\n"


_STATE = "What `upload` has stored, by path and content."


def _command(name: str) -> Iterator[str]:
    root = click.Context(program, info_name="imgsvc")
    command = program.get_command(root, name)
    assert command
    yield from _described(command, click.Context(command, info_name=name, parent=root))


def _described(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS {context.command_path} {_escaped(usage)}"
    yield from _paragraphs(command.help or "")
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record and record[1] and "--help" not in record[0]:
            yield from _pairs({record[0]: " ".join(record[1].split())})
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below
            yield from _described(below, click.Context(below, info_name=name, parent=context))
    yield from _paragraphs(command.epilog or "")


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if not paragraph:
            continue
        yield ".PP"
        if paragraph.lstrip().startswith("\b"):
            yield ".nf"
            yield from (_line(line) for line in paragraph.split("\n")[1:])
            yield ".fi"
        else:
            yield _line(" ".join(paragraph.split()))


def _pairs(named: dict[str, str]) -> Iterator[str]:
    for name, text in named.items():
        yield from (".TP", f".B {_escaped(name)}", _line(text))
    yield ".PP"


def _line(text: str) -> str:
    escaped = _escaped(text)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    return text.replace("\\-", "-").replace("\\", "\\e").replace("-", "\\-")
