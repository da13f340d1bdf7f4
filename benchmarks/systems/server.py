"""A measured system that speaks HTTP: its process, its port, its answers."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.load import Job, Outcome, Target
from benchmarks.photos import CONTENT_TYPES, Photo
from benchmarks.processes import ProcessTree
from benchmarks.systems.base import ROOT, SystemFailed

START_SECONDS = 60
_FETCH_SECONDS = 120
_LOAD_SECONDS = 600
_OK = 200


class HttpSystem(ABC):
    """A server on a port of its own, in a process group of its own."""

    name: str
    over_http = True

    def __init__(self) -> None:
        self.port = 0
        self.more_ports: list[int] = []
        """Of further processes that do the same, where they do not share one."""
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path()

    @abstractmethod
    def start(self, folder: Path) -> None:
        """See System."""

    @abstractmethod
    def path(self, photo: Photo, chain: str) -> str:
        """Path and query of the photo, treated."""

    def prepare(self, photos: Sequence[Photo]) -> None:  # noqa: B027  # a default, no gap to fill
        """Nothing, where the server reads the photos' folder."""

    def launch(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        """Start the server's process, its output in a file in `folder`."""
        self._log = folder / f"{self.name}.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        """What the server wrote so far. Raises SystemFailed when it has ended."""
        text = self._log.read_text(errors="replace")
        if self._process is None or self._process.poll() is not None:
            raise SystemFailed(f"{self.name} ended: {text[-2000:]}")
        return text

    def wait_for_port(self) -> None:
        """Until the server takes connections on all ports."""
        deadline = time.monotonic() + START_SECONDS
        for port in (self.port, *self.more_ports):
            while not self._listens(port):
                if time.monotonic() > deadline:
                    raise SystemFailed(f"{self.name} does not answer: {self.output()[-2000:]}")
                time.sleep(0.05)

    def _listens(self, port: int) -> bool:
        self.output()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    def stop(self) -> None:
        """End the server politely, then what is left of its group."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def tree(self) -> ProcessTree:
        """See System."""
        assert self._process is not None
        return ProcessTree([self._process.pid])

    def fetch(self, photo: Photo, chain: str) -> bytes:
        """See System. Raises SystemFailed for any other answer than the photo."""
        path = self.path(photo, chain)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_FETCH_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            raise SystemFailed(f"{self.name}: {path}: {error}") from error
        finally:
            connection.close()
        if answer.status != _OK:
            raise SystemFailed(f"{self.name}: {path}: status {answer.status}: {body[:300]!r}")
        return body

    def run(self, photos: Sequence[Photo], chain: str, clients: int, lengths: Sequence[int]) -> Outcome:
        """See System."""
        targets = [
            Target(path=self.path(photo, chain), content_type=CONTENT_TYPES[photo.format], length=length)
            for photo, length in zip(photos, lengths, strict=True)
        ]
        job = Job(ports=[self.port, *self.more_ports], clients=clients, targets=targets)
        command = [sys.executable, "-m", "benchmarks.load"]
        done = subprocess.run(
            command,
            cwd=ROOT,
            input=job.model_dump_json().encode(),
            capture_output=True,
            timeout=_LOAD_SECONDS,
            check=False,
        )
        if done.returncode:
            raise SystemFailed(f"the load generator failed: {done.stderr.decode()[-2000:]}")
        return Outcome.model_validate_json(done.stdout)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
