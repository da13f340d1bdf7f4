"""The command `imgsvc spaces`, which is `python -m storage_service.spaces` in the container of the storage service."""

import argparse
from collections.abc import Sequence

from pydantic import ByteSize, TypeAdapter, ValidationError

from service_kit.access import check_space
from service_kit.leaving import leave
from storage_service import administration
from storage_service.administration import Office, exit_codes, print_table
from storage_service.audit import COMMAND_LINE, Action
from storage_service.beside import size
from storage_service.http import spaces as answers
from storage_service.metadata.base import Space

DESCRIPTION = """\
List spaces and set their quotas, next to running services. A space has its own images; a key may be bound to one
(imgsvc keys create --space NAME).
"""
_PAGE = 1000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options."""
    parser.description, parser.epilog = DESCRIPTION, exit_codes()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = commands.add_parser("list", help="show all spaces, what they have and what they may have")
    listed.set_defaults(act=_list)
    change = commands.add_parser("set", help="set the quotas of a space, which may be new; those left out are lifted")
    change.add_argument("space", metavar="NAME")
    change.add_argument("--max-bytes", type=_size, metavar="SIZE", help="such as 10GiB")
    change.add_argument("--max-images", type=_number, metavar="NUMBER")
    change.add_argument("--max-uploads", type=_number, metavar="NUMBER", help="per minute")
    change.set_defaults(act=_set)
    for command in (listed, change):
        command.add_argument("--json", action="store_true", help="print JSON")


def _size(text: str) -> int:
    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write it as 500MB or 10GiB") from None


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > len("1000000000000"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


async def _list(office: Office, options: argparse.Namespace) -> None:
    found: list[Space] = []
    while page := await office.metadata.spaces(_PAGE, found[-1].space if found else ""):
        found += page
    if options.json:
        print(
            answers.SpacePage(spaces=[answers.Space.of(space) for space in found], after=None).model_dump_json(
                indent=2, exclude={"after"}
            )
        )
        return
    headings = ("SPACE", "IMAGES", "QUOTA", "SIZE", "QUOTA", "UPLOADS A MINUTE")
    print_table(
        [
            headings,
            *(
                (
                    space.space,
                    str(space.images),
                    _or_any(space.max_images),
                    size(space.bytes),
                    "any" if space.max_bytes is None else size(space.max_bytes),
                    _or_any(space.max_uploads),
                )
                for space in found
            ),
        ]
    )


async def _set(office: Office, options: argparse.Namespace) -> None:
    check_space(options.space)
    wanted = Space(
        space=options.space,
        max_bytes=options.max_bytes,
        max_images=options.max_images,
        max_uploads=options.max_uploads,
    )
    entry = office.audit.entry(COMMAND_LINE, Action.SPACE, options.space, options.space)
    await office.metadata.set_space(wanted, entry)
    space = await office.metadata.find_space(options.space) or wanted
    if options.json:
        print(answers.Space.of(space).model_dump_json(indent=2))
        return
    most = "any size" if space.max_bytes is None else size(space.max_bytes)
    images, uploads = _or_any(space.max_images), _or_any(space.max_uploads)
    print(f"{space.space} may have: {most}, images {images}, uploads a minute {uploads}")


def _or_any(number: int | None) -> str:
    return "any" if number is None else str(number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage_service.spaces")
    add_options(parser)
    return administration.run(parser.parse_args(arguments))


if __name__ == "__main__":
    leave(main())
