"""Hits of one object: our VCL beside a bare varnishd, measured by wrk in turn."""

import argparse
import re
import statistics
import subprocess
import urllib.request

from benchmarks.edge import origin, varnish
from benchmarks.endurance.figures import at_least, shown
from benchmarks.figures import Figure
from tests.servers import program, python_server

_PATH = "/v1/images/0123456789abcdef0123456789abcdef.webp?rotate=90&thumb=300&blur=2&compress=75"
_BARE = 'vcl 4.1; backend default { .host = "127.0.0.1"; .port = "ORIGIN"; }'


def options(parser: argparse.ArgumentParser) -> None:
    """How often, and how long."""
    parser.add_argument("--rounds", type=int, default=7, help="rounds, each with both (default: 7)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds of one measurement (default: 4)")


def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The ratio of hits a second, round by round."""
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    with (
        python_server(origin.__name__) as port,
        varnish.started(port) as ours,
        varnish.started(port, _BARE) as bare,
    ):
        for node in (ours, bare):
            urllib.request.urlopen(f"http://127.0.0.1:{node.port}{_PATH}", timeout=10).read()
        for number in range(chosen.rounds):
            pair = [("ours", ours.port), ("bare", bare.port)]
            for name, at in pair if number % 2 else reversed(pair):
                rates[name].append(_wrk(at, chosen.seconds))
                print(f"  round {number + 1}  {name:5} {rates[name][-1]:9.0f} hits/s", flush=True)
    ratios = [a / b for a, b in zip(rates["ours"], rates["bare"], strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return [
        *(shown(f"hits a second, {name}, median", f"{statistics.median(found):,.0f}") for name, found in rates.items()),
        at_least("hits through our VCL / through a bare varnishd", statistics.median(ratios), 0.95, "", spread),
    ]


def _wrk(port: int, seconds: int) -> float:
    command = [program("wrk"), "-t1", "-c16", f"-d{seconds}s", f"http://127.0.0.1:{port}{_PATH}"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    if not match or "Non-2xx" in printed:
        raise RuntimeError(printed)
    return float(match[1])
