"""What gunicorn does differently for the services: its configuration, in its main process."""

import math
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gunicorn.sock import BaseSocket
from pydantic import ValidationError

from service_kit.leaving import leave
from service_kit.settings import CommonSettings

_MARGIN_SECONDS = 10
"""For a worker to end after its last request."""
_UNSENT_SECONDS = 30.0
_LISTENING = "0A"


def every_address(port: int) -> str:
    """Where to listen: on IPv4 and IPv6, if the kernel has it."""
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return f"0.0.0.0:{port}"
    return f"[::]:{port}"


def longest_stop() -> int:
    """Seconds for workers to end after SIGTERM."""
    try:
        return math.ceil(CommonSettings().grace_seconds) + _MARGIN_SECONDS
    except ValidationError:  # the workers explain it
        return _MARGIN_SECONDS


def leave_listening_to_workers() -> None:
    """Make gunicorn bind its sockets without listening on them. A worker listens as soon as it has started.

    Otherwise clients would be connected to a node that needs seconds to start, or never does, and wait there for an
    answer. Without a listener they are refused, and nginx asks another node at once.
    """
    BaseSocket._is_listening = staticmethod(lambda _socket: True)  # noqa: SLF001  # gunicorn has no setting for that


def on_exit(server: Any) -> None:
    """Wait until the kernel has sent everything: what a slow client has not read would be lost with the container."""
    port = server.address[0][1] if server.address and isinstance(server.address[0], tuple) else 0
    deadline = time.monotonic() + _UNSENT_SECONDS
    while _has_unsent_bytes(port) and time.monotonic() < deadline:
        time.sleep(0.1)


def worker_exit(_server: Any, worker: Any) -> None:
    """End a worker with the exit code that gunicorn is about to end it with."""
    if worker.pid == os.getpid():  # the main process calls this too, for a worker that it finds dead
        code = getattr(sys.exception(), "code", None)
        leave(code if isinstance(code, int) else 0 if code is None else 1)


def _has_unsent_bytes(port: int) -> bool:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, queues = line.split()[:5]
                if local.endswith(f":{port:04X}") and state != _LISTENING and int(queues.partition(":")[0], 16):
                    return True
    return False
