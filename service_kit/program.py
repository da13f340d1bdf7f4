"""A program that serves an application: command line, settings, start and stop."""

import argparse
import ctypes
import logging
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvloop
from aiohttp import web
from pydantic_settings import BaseSettings

from service_kit.errors import CannotStart
from service_kit.http.server import Runner, serve_until_stopped
from service_kit.observing.logging import configure_logging
from service_kit.settings import CommonSettings, read_settings
from service_kit.stopping import take_signals

_OTHER_FILES = 1024
"""Open files that are not connections of clients."""
_M_MMAP_THRESHOLD = -3
"""malloc.h"""
_LARGE_BLOCK = 128 * 1024
"""Bytes: glibc's own threshold at the start."""
_BOOT_ERROR = 3
"""Tells gunicorn that a new worker would fail as well (Arbiter.WORKER_BOOT_ERROR)."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that serves an application.

    `create_app` takes one instance of each class in `settings`, in that order.
    """

    name: str
    description: str
    create_app: Callable[..., web.Application]
    settings: Sequence[type[BaseSettings]]
    options: Mapping[str, str]
    """The settings that are also command-line options, by option. Must include `host` and `port`."""
    announce: Callable[[web.Application, str], None] | None = None
    """Announces the URL at which the service answers. By default, it is logged."""

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Parse the command line and serve. Returns the exit code."""
        parser = argparse.ArgumentParser(prog=f"python -m {self.name}", description=self.description)
        self.add_options(parser)
        return self.run(parser.parse_args(arguments))

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add an option for each of `options`, with the description and the default of its setting."""
        for option, setting in self.options.items():
            field = next(cls.model_fields[setting] for cls in self.settings if setting in cls.model_fields)
            help_text = f"{(field.description or '').rstrip('.')} ({setting.upper()}, default {field.default})"
            parser.add_argument(f"--{option.replace('_', '-')}", metavar=option.upper(), help=help_text)
        parser.epilog = "Every other setting is an environment variable: see docs/configuration.md."

    def run(self, options: argparse.Namespace) -> int:
        """Serve until SIGINT or SIGTERM. Returns the exit code, which is 1 if the service cannot start."""
        for option, setting in self.options.items():
            if getattr(options, option) is not None:
                os.environ[setting.upper()] = getattr(options, option)
        try:
            settings = self._read_settings()
            uvloop.run(self._serve(settings))
        except CannotStart as error:
            self._complain(error)
            return 1
        return 0

    async def application(self) -> Runner:
        """The application in its runner, for gunicorn's worker to start. Exits if it cannot, as `setup` does then."""
        take_signals()
        with self._exiting():
            settings = self._read_settings()
            return _WorkerRunner(self._create_app(settings), _common(settings), self._exiting)
        raise AssertionError  # mypy cannot know that the context does not end an exception

    @contextmanager
    def _exiting(self) -> Iterator[None]:
        """Exit with one line for each mistake. gunicorn would print a traceback for each worker."""
        try:
            yield
        except CannotStart as error:
            self._complain(error)
            sys.exit(_BOOT_ERROR)

    def _complain(self, error: Exception) -> None:
        for line in str(error).splitlines():
            print(f"{self.name}: {line}", file=sys.stderr, flush=True)

    def _read_settings(self) -> list[BaseSettings]:
        settings = read_settings(*self.settings)
        shared = _common(settings)
        configure_logging(shared.log_level, shared.log_format)
        _allow_files(shared.max_connections + _OTHER_FILES)
        _return_memory()
        return settings

    def _create_app(self, settings: Sequence[BaseSettings]) -> web.Application:
        try:
            return self.create_app(*settings)
        except ValueError as error:
            raise CannotStart(str(error)) from error

    async def _serve(self, settings: Sequence[BaseSettings]) -> None:
        app = self._create_app(settings)
        values: dict[str, Any] = {name: value for each in settings for name, value in each}
        host, port = values[self.options["host"]], values[self.options["port"]]
        log = logging.getLogger(self.name)

        def announce(url: str) -> None:
            if self.announce:
                self.announce(app, url)
            else:
                log.info("listening on %s", url)

        def stopping() -> None:
            if not self.announce:
                log.info("stopping")
                return
            with suppress(BrokenPipeError):  # the terminal may be gone
                print(f"{self.name}: stopping", flush=True)

        await serve_until_stopped(Runner(app, _common(settings)), host, port, announce, stopping)


class _WorkerRunner(Runner):
    """A runner for gunicorn, whose workers call `setup` themselves."""

    def __init__(
        self, app: web.Application, settings: CommonSettings, exiting: Callable[[], AbstractContextManager[None]]
    ) -> None:
        super().__init__(app, settings)
        self._exiting = exiting

    async def setup(self) -> None:
        """Start up the application, or exit."""
        with self._exiting():
            try:
                await super().setup()
            except CannotStart:
                await self.cleanup()
                raise


def _common(settings: Sequence[BaseSettings]) -> CommonSettings:
    return next(each for each in settings if isinstance(each, CommonSettings))


def _allow_files(number: int) -> None:
    """Raise the limit on open files to `number` if the system allows it: most shells start with 1024."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = number if most == resource.RLIM_INFINITY else min(number, most)
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))


def _return_memory() -> None:
    """Make malloc return what a read from a client took as soon as it is freed.

    Otherwise, glibc raises its threshold with the first such block, and keeps all later ones between small objects: 150
    uploads of 1 MiB at once left 130 MiB behind.
    """
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
