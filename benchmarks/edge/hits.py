"""Hits on one object: our VCL and a bare varnishd in turn, measured by wrk."""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.edge import origin, varnish
from measuring.figures import Figure, at_least, extremes
from measuring.servers import python_server
from measuring.wrk import wrk

_PATH = "/v1/images/0123456789abcdef0123456789abcdef.webp?rotate=90&thumb=300&blur=2&compress=75"


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--rounds", type=int, default=7, help="rounds, each with both (default: 7)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds per measurement (default: 4)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The ratio of hits per second, round by round."""
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        python_server(origin.__name__, Path(folder)) as port,
        varnish.started(port) as ours,
        varnish.started(port, bare=True) as bare,
    ):
        urls = {"ours": ours + _PATH, "bare": bare + _PATH}
        for number in range(chosen.rounds):
            for name in urls if number % 2 else reversed(urls):
                rates[name].append(wrk(urls[name], chosen.seconds).rate)
                print(f"  round {number + 1}  {name:5} {rates[name][-1]:9.0f} hits/s", flush=True)
    ratios = [a / b for a, b in zip(rates["ours"], rates["bare"], strict=True)]
    return [
        *(
            Figure(f"hits per second, {name}, median", f"{statistics.median(found):,.0f}")
            for name, found in rates.items()
        ),
        at_least(
            "hits through our VCL / through a bare varnishd", statistics.median(ratios), 0.95, "", extremes(ratios)
        ),
    ]
