"""Real services to send anything to: `imgsvc serve`, and both services on their own, which have more routes."""

import http.client
import os
import re
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from measuring.servers import await_port, free_port
from tests import servers
from tests.hostile.examples import JPEG

_TICKS = os.sysconf("SC_CLK_TCK")
_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Target:
    """A running service."""

    name: str
    port: int
    pid: int
    image_id: str
    log: Path

    def send(self, data: bytes) -> int:
        """Send raw bytes, and return the status of the response; 0 if there is none."""
        with socket.create_connection(("127.0.0.1", self.port), _SECONDS) as connection:
            with suppress(ConnectionError):
                connection.sendall(data)
            line = b""
            with suppress(ConnectionError):
                while b"\n" not in line and (received := connection.recv(4096)):
                    line += received
            return int(line.split(maxsplit=2)[1]) if line else 0

    def cpu_seconds(self) -> float:
        """The processor time that the service has used, without its workers."""
        return cpu_seconds(self.pid)


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def embedded(folder: Path, **environment: str) -> Iterator[tuple[Target, servers.Served]]:
    """`imgsvc serve` with one image."""
    with servers.serve(folder, **environment) as served:
        port = urlsplit(served.url).port or 0
        yield Target("imgsvc", port, served.process.pid, _upload(port), served.log), served


@contextmanager
def separate(folder: Path, **environment: str) -> Iterator[list[Target]]:
    """Both services on their own, with traces, which read more headers."""
    storage, transform, nowhere = free_port(), free_port(), free_port()
    variables = {
        **os.environ,
        "PYTHONPATH": str(servers.ROOT),
        "DATA_DIR": str(folder / "data"),
        "SPOOL_DIR": str(folder / "spool"),
        "STORAGE_HOST": "127.0.0.1",
        "STORAGE_PORT": str(storage),
        "TRANSFORM_HOST": "127.0.0.1",
        "TRANSFORM_PORT": str(transform),
        "STORAGE_URL": f"http://127.0.0.1:{storage}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{nowhere}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        **environment,
    }
    folder.mkdir(parents=True, exist_ok=True)
    targets = []
    with ExitStack() as stack:
        for module, port in (("storage_service", storage), ("transform_service", transform)):
            log = folder / f"{module}.log"
            command = [sys.executable, "-m", module]
            process = stack.enter_context(servers.running(command, log, cwd=folder, env=variables))
            await_port(port, process, log)
            image_id = targets[0].image_id if targets else _upload(port)
            targets.append(Target(module, port, process.pid, image_id, log))
        yield targets


def _upload(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    connection.request("POST", "/v1/images", JPEG, {"Content-Type": "image/jpeg"})
    location = connection.getresponse().headers["Location"]
    connection.close()
    return str(location).rpartition("/")[2]


class Answering:
    """A remote server that answers every connection with the same bytes."""

    def __init__(self) -> None:
        self.answer = b""
        self.port = 0

    @contextmanager
    def running(self) -> Iterator["Answering"]:
        """Serve on a free port."""
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    self.request.recv(65536)
                    self.request.sendall(outer.answer)

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


def wait_until_idle(target: Target) -> None:
    """Wait until the service does nothing any more."""
    before = -1.0
    while (now := target.cpu_seconds()) != before:
        before = now
        time.sleep(0.1)


def logged_errors(log: Path) -> list[str]:
    """What was logged as an error, with the lines that follow each. That traces find no collector is none."""
    return [found[0][:3000] for found in _ERROR.finditer(log.read_text())]


_ERROR = re.compile(r" (?:ERROR|CRITICAL) (?!opentelemetry\.).*(?:\n(?!\d{4}-).*)*")
