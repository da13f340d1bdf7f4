"""Starts servers for a measurement and stops them at its end."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from measuring.processes import Tree

ROOT = Path(__file__).parents[1]
_START_SECONDS = 60
_STOP_SECONDS = 20
_SERVER_PORTS = range(10_000, 32_768)  # below those of outgoing connections
Process = subprocess.Popen[bytes]


class CannotStart(Exception):
    """A program is missing, ended early or did not listen in time."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port on which nothing listens now, and which the kernel gives to no outgoing connection meanwhile."""
    while True:
        port = secrets.choice(_SERVER_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, port))
            return port


def program(name: str) -> str:
    """The path of an installed program."""
    if found := shutil.which(name):
        return found
    raise CannotStart(f"{name} is not installed; install the Debian package that has it")


@contextmanager
def running(command: Sequence[str], log: Path, **options: Any) -> Iterator[Process]:
    """Run a program in a process group of its own, with its output in `log`; end the whole group afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def python_server(module: str, folder: Path) -> Iterator[int]:
    """Run `python -m MODULE PORT`; yields the port."""
    port, log = free_port(), folder / f"{module}.log"
    with running([sys.executable, "-m", module, str(port)], log, cwd=ROOT) as process:
        await_port(port, process, log)
        yield port


def await_port(port: int, process: Process, log: Path) -> None:
    """Wait until a process listens on a port."""
    for _ in _until_started(process, log):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return


def _until_started(process: Process, log: Path) -> Iterator[None]:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        yield
        time.sleep(0.05)
    raise CannotStart(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-2000:]}")


@dataclass(frozen=True)
class Served:
    """A running `imgsvc serve`."""

    url: str
    process: Process

    @property
    def tree(self) -> Tree:
        """Its processes."""
        return Tree(self.process.pid)

    def renderers(self) -> list[int]:
        """The IDs of the fork server's children. It has libvips loaded; only root may read that of its children."""
        loaded, parents = set(), {}
        for process in self.tree.processes():
            with suppress(OSError, psutil.Error):
                parents[process.pid] = process.ppid()
                if "libvips" in Path(f"/proc/{process.pid}/maps").read_text():
                    loaded.add(process.pid)
        return [pid for pid, parent in parents.items() if parent in loaded]


@contextmanager
def imgsvc(folder: Path, prefix: Sequence[str] = (), **environment: str) -> Iterator[Served]:
    """Run `imgsvc serve` on a free port with its data in `folder`. `prefix`: words before the command."""
    surroundings = {
        **os.environ,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "DATA_DIR": str(folder / "data"),
        "SPOOL_DIR": str(folder / "spool"),
        "PYTHONPATH": str(ROOT),
        "LOG_LEVEL": "WARNING",
        **environment,
    }
    command, log = [*prefix, sys.executable, "-m", "imgsvc", "serve"], folder / "imgsvc.log"
    with running(command, log, cwd=folder, env=surroundings) as process:
        for _ in _until_started(process, log):
            if banner := re.search(r" on (http://\S+)", log.read_text()):
                yield Served(banner[1], process)
                return
