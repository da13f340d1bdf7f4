"""The options of a run, which are those of the command line."""

import argparse
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from loadtests import faults, plans
from measuring.photos import WALLPAPERS

HERE = Path(__file__).parent
_THRESHOLDS, _REPORTS, _FILES = HERE / "thresholds.toml", HERE / "reports", HERE / ".photos"


def _option(default: Any, text: str, **argument: Any) -> Any:
    """A field with its argument of the command line."""
    return field(default=default, metadata={"help": text, **argument})


def _positive(text: str) -> int:
    return _at_least(1, text)


def _seconds(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def _off(default_text: str) -> Any:
    return _option(True, default_text, action="store_false")


@dataclass(frozen=True, slots=True)
class Options:
    """What a run does."""

    shape: str | None = _option(None, "default: steady; with --web: none", choices=plans.SHAPES)
    target: str | None = _option(None, "a running service, such as http://127.0.0.1:8080", metavar="URL")
    users: int | None = _option(None, "users; in a ramp: of its first step", type=_positive)
    seconds: int | None = _option(None, "how long to measure after the warm-up", type=_positive)
    warm_up: int | None = _option(None, "load at the start that is not judged", type=_seconds, metavar="SECONDS")
    step_seconds: int = _option(20, "length of a ramp's steps (20)", type=_positive)
    most_users: int = _option(5000, "where a ramp ends (5000)", type=_positive)
    images: int = _option(40, "how many images to upload (40)", type=_positive)
    warm: bool = _off("do not render the usual variants first")
    processes: int = _option(1, "processes of locust on this machine (1)", type=_positive)
    workers: int = _option(0, "workers on other machines to wait for (0)", type=int)
    web: int | None = _option(None, "with locust's page (8089)", type=int, nargs="?", const=8089, metavar="PORT")
    hits: bool = _off("do not measure hits with wrk")
    apart: bool = _option(
        True, "run own stack and load generator on the same cores", action="store_false", flag="--shared-cores"
    )
    fault: str | None = _option(None, "break a part of the own stack for a while", choices=faults.NAMES)
    fault_after: int = _option(40, "when, in seconds from the start (40)", type=_seconds)
    fault_seconds: int = _option(15, "for how long (15)", type=_positive)
    thresholds: Path = _option(_THRESHOLDS, "(loadtests/thresholds.toml)", type=Path)
    reports: Path = _option(_REPORTS, "folder for reports (loadtests/reports)", type=Path)
    files: Path = _option(_FILES, "folder for photos (loadtests/.photos)", type=Path)
    wallpapers: Path = _option(WALLPAPERS, argparse.SUPPRESS, type=Path)

    @classmethod
    def parse(cls, description: str, epilog: str) -> Self:
        """The options of this process. Ends it if they are wrong."""
        raw = argparse.RawDescriptionHelpFormatter
        parser = argparse.ArgumentParser(
            "python -m loadtests", description=description, epilog=epilog, formatter_class=raw
        )
        for each in dataclasses.fields(cls):
            argument = dict(each.metadata)
            prefix = "--no-" if argument.get("action") else "--"
            flag = argument.pop("flag", prefix + each.name.replace("_", "-"))
            parser.add_argument(flag, dest=each.name, default=each.default, **argument)
        options = cls(**vars(parser.parse_args()))
        if options.shape is None and not options.web:
            options = dataclasses.replace(options, shape="steady")
        if problem := options.problem():
            parser.error(problem)
        return options

    def problem(self) -> str | None:
        """Why these options do not fit together."""
        if self.fault and self.target:
            return "--fault breaks a part of the stack that is started for the run; leave out --target"
        if self.shape == "spike" and self.seconds and self.seconds < plans.LEAST_SPIKE_SECONDS:
            return f"--seconds of a spike, before and after it together, must be at least {plans.LEAST_SPIKE_SECONDS}"
        if self.fault and self.shape in plans.SECONDS:
            length = sum(stage.seconds for stage in plans.plan(self.shape, 1, self.seconds, self.warm_up))
            if self.fault_after + self.fault_seconds > length:
                ends = f"--fault-after {self.fault_after} plus --fault-seconds {self.fault_seconds} end"
                return f"{ends} after the run, which lasts {length} s"
        return None
