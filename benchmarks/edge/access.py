"""Hits on public and private pictures, by signed URL and by key, and with the VCL of another checkout, by wrk."""

import argparse
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.edge import origin, varnish
from measuring.figures import Figure, at_least, extremes
from measuring.servers import python_server
from measuring.wrk import wrk

_PUBLIC = "/v1/images/0123456789abcdef0123456789abcdef.webp?rotate=90&thumb=300&blur=2&compress=75"
_PRIVATE = _PUBLIC.replace("012345", origin.PRIVATE, 1)
_SIGNATURE = "&key=0123456789ab&expires=9999999999&signature=" + "x" * 43
_KEY = {"Authorization": f"Bearer ik_0123456789ab_{'x' * 43}"}


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--rounds", type=int, default=7, help="rounds, each with all (default: 7)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds per measurement (default: 4)")
    parser.add_argument("--before", type=Path, help="a checkout whose VCL to compare with")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The ratios of hits per second, round by round."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(python_server(origin.__name__, folder))
        ours = stack.enter_context(varnish.started(port))
        ways: dict[str, tuple[str, dict[str, str]]] = {
            "public": (ours + _PUBLIC, {}),
            "signed, public": (ours + _PUBLIC + _SIGNATURE, {}),
            "signed, private": (ours + _PRIVATE + _SIGNATURE, {}),
            "by key, private": (ours + _PRIVATE, _KEY),
        }
        if chosen.before:
            before = stack.enter_context(varnish.started(port, code=chosen.before / "varnish"))
            ways["public, before"] = (before + _PUBLIC, {})
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(chosen.rounds):
            for name in ways if number % 2 else reversed(ways):
                url, headers = ways[name]
                rates[name].append(wrk(url, chosen.seconds, headers=headers).rate)
                print(f"  round {number + 1}  {name:15} {rates[name][-1]:9.0f} hits/s", flush=True)
    targets = {"signed, public": 0.8, "signed, private": 0.8, "by key, private": 0.0}
    return [
        *(
            Figure(f"hits per second, {name}, median", f"{statistics.median(found):,.0f}")
            for name, found in rates.items()
        ),
        *(_ratio(f"{name} / public", rates[name], rates["public"], least) for name, least in targets.items()),
        *([_ratio("public / before", rates["public"], rates["public, before"], 0.98)] if chosen.before else []),
    ]


def _ratio(name: str, these: list[float], those: list[float], least: float) -> Figure:
    ratios = [a / b for a, b in zip(these, those, strict=True)]
    return at_least(name, statistics.median(ratios), least, "", extremes(ratios))
