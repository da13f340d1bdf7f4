"""The command line: names all commands, runs one, and turns what goes wrong into a sentence and an exit code."""

import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from imgsvc import __version__
from imgsvc.terminal.failures import DONE, FAILED, INTERRUPTED, complain, failure
from imgsvc.terminal.groups import Entry, Group, pipe_is_broken
from service_kit.leaving import leave
from service_kit.suggestions import closest

_ADMINISTRATION = "storage_service.administration"
COMMANDS = {
    "Images of a service": {
        "upload": Entry("store files, folders, URLs or what comes from stdin", "imgsvc.commands.upload"),
        "import": Entry("store all images of another place, with a manifest", "imgsvc.commands.importing"),
        "get": Entry("download an image or a variant", "imgsvc.commands.get"),
        "info": Entry("show all that is known about images", "imgsvc.commands.info"),
        "list": Entry("list images, newest first", "imgsvc.commands.listing"),
        "search": Entry("list images by words", "imgsvc.commands.search"),
        "delete": Entry("delete images", "imgsvc.commands.delete"),
        "export": Entry("write all originals into a folder, with a manifest", "imgsvc.commands.export"),
    },
    "Looking after services": {
        "doctor": Entry("inspect a deployment, and say what to do", "imgsvc.commands.doctor"),
    },
    "Without a service": {
        "transform": Entry("run operations on local files", "imgsvc.commands.transform"),
        "url": Entry("print the URL of an image or a variant", "imgsvc.commands.url"),
        "explain": Entry("show how a chain of operations would be run", "imgsvc.commands.explain"),
        "sign": Entry("sign the URL of a picture", "storage_service.sign", "storage_service.sign"),
        "completion": Entry("print what completes commands in a shell", "imgsvc.commands.completion"),
    },
    "Next to a service, with its settings": {
        "serve": Entry("run the whole service in one process tree", "imgsvc.commands.serve"),
        "keys": Entry("make, list, revoke and rotate the keys of clients", "storage_service.keys", _ADMINISTRATION),
        "spaces": Entry("list spaces and set their quotas", "storage_service.spaces", _ADMINISTRATION),
        "audit": Entry("show who changed what", "storage_service.trail", _ADMINISTRATION),
        "jobs": Entry(
            "show what is done when nobody waits, and what failed", "storage_service.backlog", _ADMINISTRATION
        ),
        "usage": Entry("show what viewers request most", "storage_service.demand", _ADMINISTRATION),
        "precompute": Entry("render chains before anyone asks", "imgsvc.precompute", _ADMINISTRATION),
        "webhooks": Entry("tell others about changes of images", "storage_service.webhooks", _ADMINISTRATION),
        "scrub": Entry("compare every stored blob with its record", "storage_service.scrub", "storage_service.scrub"),
        "check": Entry(
            "look for images without their blob, and blobs without an image",
            "storage_service.check",
            "storage_service.check",
        ),
        "sweep": Entry("remove blobs that no image uses", "storage_service.sweep", "storage_service.sweep"),
    },
}
"""Each command is imported only if it is named: some take a second."""

program = Group(
    name="imgsvc",
    sections=COMMANDS,
    help="Store images and transform them on the fly.",
    epilog="`imgsvc COMMAND --help` describes a command, and docs/cli.md all of them.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=lambda ctx, _, wanted: _version(ctx) if wanted else None,
            help="Print the version.",
        )
    ],
)


def run() -> NoReturn:
    """Run a command and exit."""
    leave(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    if "serve" not in (sys.argv[1:] if arguments is None else arguments):
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # a command in a container is none of its workers
    try:
        code = program.main(arguments, "imgsvc", standalone_mode=False, complete_var="_IMGSVC_COMPLETE")
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return pipe_is_broken()
    except click.UsageError as error:
        return _wrong_usage(error)
    except Exception as error:
        if os.environ.get("IMGSVC_DEBUG"):
            raise
        return _failed(error)
    return code if isinstance(code, int) else DONE


def _failed(error: Exception) -> int:
    if isinstance(error, click.ClickException):
        complain(error.format_message())
        return error.exit_code
    try:
        found = failure(error)
    except Exception:  # noqa: BLE001  # nobody has foreseen it
        complain(
            f"a mistake in this program: {type(error).__name__}: {error}; IMGSVC_DEBUG=1 shows where, to report it"
        )
        return FAILED
    found.show()
    return found.exit_code


def _wrong_usage(error: click.UsageError) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return error.exit_code
    said = _said(error)
    more = f"; see `{error.ctx.command_path} --help`" if error.ctx and not said.endswith("?") else ""
    complain(said + more)
    return error.exit_code


def _said(error: click.UsageError) -> str:
    """The message, as this program writes them."""
    if isinstance(error, click.NoSuchOption) and error.ctx:
        known = [name for param in error.ctx.command.get_params(error.ctx) for name in param.opts]
        meant = closest(error.option_name, [name for name in known if name.startswith("--")])
        return f"there is no option {error.option_name!r}" + (f"; did you mean {meant!r}?" if meant else "")
    message = error.format_message()
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    return f"{message[:1].lower()}{message[1:].rstrip('.')}"


_WORDS = (
    (re.compile(r"is not a valid integer(?: range)?"), "is not a whole number"),
    (re.compile(r"is not in the range (\S+?)<=x<=(\S+?)\.?$"), r"is not from \1 to \2"),
    (re.compile(r"is not in the range x>=(\S+?)\.?$"), r"is less than \1"),
)
"""What click says about numbers, and what we say."""


def _version(ctx: click.Context) -> None:
    click.echo(f"imgsvc {__version__}")
    ctx.exit()
