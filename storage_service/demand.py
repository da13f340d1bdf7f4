"""The command `imgsvc usage`, which is `python -m storage_service.demand` in the container of the storage service."""

import argparse
from collections.abc import Sequence

from service_kit.errors import BadRequest
from service_kit.leaving import leave
from storage_service import administration
from storage_service.administration import Office, exit_codes, print_table
from storage_service.http.usage import MOST_SHOWN, ChainReport, reported
from storage_service.precomputed import Precomputed
from storage_service.usage import MOST_HOURS, Usage

DESCRIPTION = """\
Show which chains of operations viewers request most, next to running services: how often, which share Varnish answers,
what their renders cost, and what it would save to precompute them (`imgsvc precompute`): the renders for which somebody
waits, against those of new images, and those of earlier ones within a week.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, exit_codes()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--hours", type=int, default=24, metavar="NUMBER", help="how many of the last hours to look at (default 24)"
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=20,
        metavar="NUMBER",
        help="how many chains to show at most, besides those that are precomputed (default 20)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with the most requested images")
    parser.set_defaults(act=_show)


async def _show(office: Office, options: argparse.Namespace) -> None:
    if not 1 <= options.hours <= MOST_HOURS:
        raise BadRequest(f"--hours {options.hours} is not from 1 to {MOST_HOURS}")
    if not 1 <= options.limit <= MOST_SHOWN:
        raise BadRequest(f"--limit {options.limit} is not from 1 to {MOST_SHOWN}")
    report = await reported(Usage(office.metadata), Precomputed(office.metadata), options.hours, options.limit)
    if options.json:
        print(report.model_dump_json(indent=2))
        return
    requests, counted = report.requests, report.counted_hours
    number = f"{requests} request{'s' * (requests != 1)}"
    print(f"{number} in {options.hours} h, {report.render_seconds:.1f} s of renders")
    if requests and counted < options.hours - 1:
        time = "at most an hour" if counted <= 1 else f"{counted:.1f} h only"
        print(f"requests were counted for {time}; the advice settles after a day")
    if report.chains:
        headings = ("CHAIN", "REQUESTS", "SHARE", "HITS", "RENDERS", "SECONDS", "MB", "PRECOMPUTE")
        print_table([headings, *(_row(chain) for chain in report.chains)])


def _row(chain: ChainReport) -> Sequence[str]:
    return (
        chain.chain,
        str(chain.requests),
        f"{chain.share:.1%}",
        f"{chain.hit_ratio:.1%}",
        str(chain.renders),
        f"{chain.render_seconds:.1f}",
        f"{chain.bytes / 1e6:.1f}",
        f"{advice.verdict}: {advice.reason}" if (advice := chain.precompute) else "-",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage_service.demand")
    add_options(parser)
    return administration.run(parser.parse_args(arguments))


if __name__ == "__main__":
    leave(main())
