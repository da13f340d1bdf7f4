"""`python -m loadtests` as a user starts it, and a server that always says the same."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.servers import ROOT

_COMMAND = (sys.executable, "-m", "loadtests")


def loadtests(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, because locust patches the process that imports it."""
    return subprocess.run(
        [*_COMMAND, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def interrupted(*arguments: object, after: str) -> subprocess.CompletedProcess[str]:
    """The same, with Ctrl-C after it has printed this."""
    command, pipe = [*_COMMAND, *map(str, arguments)], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        assert process.stdout
        printed = next((line for line in process.stdout if after in line), "")
        os.killpg(process.pid, signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, printed + rest, errors)


@contextmanager
def speaking(words: bytes) -> Iterator[str]:
    """The URL of a server that says this to every client."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client, suppress(OSError):
                    client.recv(65536)
                    client.sendall(words)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):  # if it closed with unread data, the connection would be reset
                        pass

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
