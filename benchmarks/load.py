"""The load generator: so many clients, each with one request under way, in a process of its own.

Reads a Job as JSON from standard input and writes an Outcome to standard output. Requests are taken from one
sequence, so every system does the same work in the same order, and equal requests are far apart. Bare sockets in one
loop, since it shares the cores with what it measures; the outcome tells what it took of them.
"""

import selectors
import socket
import sys
import time
from collections import Counter, deque
from contextlib import suppress

from pydantic import BaseModel

_ANSWER_SECONDS = 60
_READ_BYTES = 1024**2


class Target(BaseModel):
    """A request, and what a good answer to it is."""

    path: str
    content_type: str
    length: int


class Job(BaseModel):
    """What to ask for, and how."""

    ports: list[int]
    """The clients are shared out among them."""
    clients: int
    targets: list[Target]
    """In the order in which they are asked for."""


class Outcome(BaseModel):
    """What came of it."""

    seconds: float
    client_cpu_seconds: float = 0
    latencies: list[float]
    """Seconds of each good answer."""
    failures: dict[str, int]
    """How often for each reason."""


class BadAnswer(Exception):
    """An answer that does not count."""


class Generator:
    """The clients, and the work that is left."""

    def __init__(self, job: Job) -> None:
        self._ports = job.ports
        self._clients = job.clients
        self._work = deque(job.targets)
        self._selector = selectors.DefaultSelector()
        self._latencies: list[float] = []
        self._failures: Counter[str] = Counter()

    def run(self) -> Outcome:
        """All requests of the job."""
        clients = [_Client(self._ports[number % len(self._ports)]) for number in range(self._clients)]
        started, cpu = time.perf_counter(), time.process_time()
        for client in clients:
            self._next(client)
        while self._selector.get_map():
            ready = self._selector.select(_ANSWER_SECONDS)
            if not ready:
                self._give_up()
            for key, _ in ready:
                self._receive(key.data)
        return Outcome(
            seconds=time.perf_counter() - started,
            client_cpu_seconds=time.process_time() - cpu,
            latencies=self._latencies,
            failures=dict(self._failures),
        )

    def _next(self, client: "_Client") -> None:
        while self._work:
            try:
                if client.ask(self._work.popleft()):
                    self._selector.register(client.socket, selectors.EVENT_READ, client)
            except OSError as error:
                self._failures[str(error)] += 1
                self._drop(client)
            else:
                return
        self._drop(client)

    def _drop(self, client: "_Client") -> None:
        if client.connected:
            with suppress(KeyError):
                self._selector.unregister(client.socket)
            client.close()

    def _receive(self, client: "_Client") -> None:
        try:
            if not client.receive():
                return
            self._latencies.append(client.seconds)
        except (BadAnswer, OSError) as error:
            self._failures[str(error) or type(error).__name__] += 1
            self._drop(client)
        self._next(client)

    def _give_up(self) -> None:
        """Nobody answers any more: what is under way and what is left has failed."""
        waiting = list(self._selector.get_map().values())
        self._failures["no answer"] += len(waiting) + len(self._work)
        self._work.clear()
        for key in waiting:
            self._next(key.data)


class _Client:
    """One connection, kept open from request to request."""

    _buffer = memoryview(bytearray(_READ_BYTES))

    def __init__(self, port: int) -> None:
        self._port = port
        self._target: Target | None = None
        self._head = b""
        self._missing = 0
        self._started = 0.0
        self.connected = False
        self.socket = socket.socket()
        self.seconds = 0.0

    def ask(self, target: Target) -> bool:
        """Send the request; whether this opened a new connection."""
        new = not self.connected
        if new:
            self.socket = socket.create_connection(("127.0.0.1", self._port), _ANSWER_SECONDS)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connected = True
        self._target, self._head, self._missing = target, b"", 0
        self._started = time.perf_counter()
        self.socket.sendall(f"GET {target.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n".encode())
        return new

    def receive(self) -> bool:
        """Take what has come; whether the answer is complete. Raises BadAnswer for one that does not count."""
        count = self.socket.recv_into(self._buffer)
        if not count:
            raise BadAnswer("connection closed")
        if self._missing:
            self._missing -= count
        else:
            self._head += self._buffer[:count]
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return False
            self._missing = self._checked(head.decode("latin-1").lower()) - len(body)
        self.seconds = time.perf_counter() - self._started
        return self._missing == 0

    def _checked(self, head: str) -> int:
        """The length of the body that follows this head."""
        assert self._target is not None
        status, content_type = head[9:12], _header(head, "content-type")
        if status != "200":
            raise BadAnswer(f"status {status}")
        if content_type != self._target.content_type:
            raise BadAnswer(f"type {content_type}")
        if _header(head, "content-length") != str(self._target.length):
            raise BadAnswer("another length than the body that was looked at")
        return self._target.length

    def close(self) -> None:
        """End the connection."""
        self.socket.close()
        self.connected = False


def _header(head: str, name: str) -> str:
    return head.partition(f"\r\n{name}:")[2].partition("\r\n")[0].strip()


if __name__ == "__main__":
    print(Generator(Job.model_validate_json(sys.stdin.buffer.read())).run().model_dump_json())
