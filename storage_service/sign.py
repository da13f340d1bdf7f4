"""The command `imgsvc sign`, which needs no server: it signs with the signing secret of a key."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence

from service_kit import signing
from service_kit.durations import lifetime
from service_kit.leaving import leave

DESCRIPTION = """\
Sign a URL of a picture, so that everybody who has it can see the picture, private or not, until it expires, or its key
is revoked.
"""
EPILOG = """\
The signing secret is in SIGNING_SECRET; `imgsvc keys create web --scope sign` shows it. It is not an option,
because other users of the machine can see the command lines of processes.

examples:
  imgsvc sign 'https://img.example.com/v1/images/ID.webp?thumb=300' --expires 1h
  imgsvc sign '/v1/images/ID.webp?w=320' --widths 320,640,1280 --srcset

With --widths, the signature holds for each of these widths, in `thumb`, `w` or `width`; with --presets, for each of
these presets. A change of anything else breaks it.

exit code: 0 signed; 2 wrong usage.
"""
_USAGE = 2
_WIDTH = re.compile(r"([?&](?:thumb|w|width)=)[0-9]+")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("url", help="the URL, or its path and query")
    parser.add_argument(
        "--expires", type=lifetime, metavar="TIME", help="how long it works: 10m, 12h, 30d; default for ever"
    )
    parser.add_argument("--widths", type=_widths, default=(), metavar="LIST", help="such as 320,640,1280")
    parser.add_argument("--presets", type=_names, default=(), metavar="LIST", help="such as small,large")
    parser.add_argument("--srcset", action="store_true", help="print the value of a srcset, with each of the widths")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _widths(text: str) -> tuple[int, ...]:
    if not re.fullmatch("[1-9][0-9]{0,4}(,[1-9][0-9]{0,4})*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of widths; write it as 320,640,1280")
    return tuple(map(int, text.split(",")))


def _names(text: str) -> tuple[str, ...]:
    if not re.fullmatch("[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of presets; write it as small,large")
    return tuple(text.split(","))


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    try:
        signed = _output(options)
    except ValueError as error:
        print(f"imgsvc: {error}", file=sys.stderr)
        return _USAGE
    print(json.dumps({"srcset" if options.srcset else "url": signed}) if options.json else signed)
    return 0


def _output(options: argparse.Namespace) -> str:
    secret = os.environ.get("SIGNING_SECRET", "")
    if not secret:
        raise ValueError("SIGNING_SECRET is not set; `imgsvc keys create web --scope sign` shows one")
    base, target = signing.split(options.url)
    expires = int(time.time() + options.expires.total_seconds()) if options.expires else None

    def signed(text: str) -> str:
        return base + signing.signed(text, secret, expires=expires, widths=options.widths, presets=options.presets)

    if not options.srcset:
        return signed(target)
    if not options.widths or not _WIDTH.search(target):
        raise ValueError("--srcset needs --widths, and a URL with one of thumb, w and width, such as ?w=320")
    urls = {width: _WIDTH.sub(rf"\g<1>{width}", target, count=1) for width in options.widths}
    return ", ".join(f"{signed(url)} {width}w" for width, url in urls.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage_service.sign")
    add_options(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    leave(main())
