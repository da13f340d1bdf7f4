"""The messages between a service and its worker processes.

A job is pickled, since a worker trusts the service. Open files among the arguments arrive open. An answer is one line
of JSON, and the service checks it against a schema: a decoder that was taken over may send anything.
"""

import io
import os
import pickle
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from service_kit.errors import (
    BadRequest,
    DiskFailed,
    InsufficientStorage,
    MemoryExceeded,
    NotAcceptable,
    ServiceError,
    UnprocessableImage,
    UnsupportedImage,
)

EXPECTED: tuple[type[ServiceError], ...] = (
    MemoryExceeded,
    UnprocessableImage,
    UnsupportedImage,
    BadRequest,
    NotAcceptable,
    InsufficientStorage,
    DiskFailed,
)
"""The errors that tasks raise, subclasses first. No other can arrive: a worker that was taken over shall not say that
an image was deleted, or that the service is at fault."""

LONGEST_ANSWER = 64 * 1024
_LONGEST_DETAIL = 2000
_LENGTH = struct.Struct("!I")
_MOST_FILES = 64
_VALUE, _ERROR, _BUG = b"v", b"e", b"b"


class BadAnswer(Exception):
    """A worker sent something that is not an answer."""


class WorkerFailed(Exception):
    """A bug in the code that ran in the worker. The text is the traceback from there."""


@dataclass(frozen=True, slots=True)
class Job:
    """A function's arguments, with the open files among them."""

    data: bytes
    files: Sequence[int]


_FILES = (io.FileIO, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.BytesIO)
"""Not io.IOBase: its `isinstance`, of each object in a job, takes a twentieth of a request's time. A
BytesIO is listed so that it is refused: it has no file descriptor."""


class _Pickler(pickle.Pickler):
    def __init__(self, target: io.BytesIO) -> None:
        super().__init__(target, pickle.HIGHEST_PROTOCOL)
        self.files: list[int] = []

    def persistent_id(self, each: Any) -> tuple[int, str] | None:
        if not isinstance(each, _FILES):
            return None
        self.files.append(each.fileno())
        return len(self.files) - 1, "r+b" if each.writable() else "rb"


class _Unpickler(pickle.Unpickler):
    def __init__(self, source: io.BytesIO, files: Sequence[int]) -> None:
        super().__init__(source)
        self._files = files

    def persistent_load(self, place: tuple[int, str]) -> Any:
        index, mode = place
        return os.fdopen(self._files[index], mode, buffering=0)


def job(task: object, arguments: tuple[object, ...], memory: int | None) -> Job:
    """Make a job. Binary files among `arguments` must stay open until it is sent."""
    target = io.BytesIO()
    pickler = _Pickler(target)
    pickler.dump((task, arguments, memory))
    data = target.getvalue()
    return Job(_LENGTH.pack(len(data)) + data, pickler.files)


def receive(connection: socket.socket) -> Job:
    """Wait for a job, in a worker. Raises EOFError if the service has gone."""
    data, files, _, _ = socket.recv_fds(connection, LONGEST_ANSWER, _MOST_FILES)
    if not data:
        raise EOFError
    while len(data) < _LENGTH.size or len(data) < _LENGTH.size + _LENGTH.unpack_from(data)[0]:
        more = connection.recv(LONGEST_ANSWER)
        if not more:
            raise EOFError
        data += more
    return Job(data, files)


def read_job(job: Job) -> tuple[Any, Any, int | None]:
    """The task of a job, its arguments, and its memory, which includes that for mapping its files."""
    task, arguments, memory = _Unpickler(io.BytesIO(job.data[_LENGTH.size :]), job.files).load()
    return task, arguments, memory and memory + sum(os.fstat(each).st_size for each in job.files)


def answer(number: int, returns: Any, value: object) -> bytes:
    """The message with the result of job `number`."""
    return _line(number, _VALUE, _schema(returns).dump_json(value))


def error_answer(number: int, error: ServiceError) -> bytes:
    """The message with an error for the client, one of EXPECTED."""
    name = next(cls.__name__ for cls in EXPECTED if isinstance(error, cls))
    return _line(number, _ERROR, _ERRORS.dump_json((name, error.detail[:_LONGEST_DETAIL])))


def bug_answer(number: int, text: str) -> bytes:
    """The message with the traceback of a bug."""
    return _line(number, _BUG, _TEXT.dump_json(text[-LONGEST_ANSWER // 8 :]))


def _line(number: int, kind: bytes, content: bytes) -> bytes:
    return b"%d:%b%b\n" % (number, kind, content)


def read(number: int, returns: Any, line: bytes) -> Any:
    """The result in the answer to job `number`. Raises the error in it, and BadAnswer for anything else."""
    start = b"%d:" % number
    if not line.startswith(start):
        raise BadAnswer("not the answer to this job")
    kind, content = line[len(start) : len(start) + 1], line[len(start) + 1 :]
    try:
        if kind == _VALUE:
            return _schema(returns).validate_json(content)
        if kind == _ERROR:
            name, detail = _ERRORS.validate_json(content)
            raise _BY_NAME[name](_printable(detail[:_LONGEST_DETAIL]))
        if kind == _BUG:
            raise WorkerFailed(_indented(_TEXT.validate_json(content)))
    except (ValidationError, KeyError) as error:
        raise BadAnswer(str(error)) from None
    raise BadAnswer("unknown kind of answer")


def _printable(text: str) -> str:
    """A text without control characters: it reaches logs and terminals."""
    return "".join(each if each.isprintable() else " " for each in text)


def _indented(text: str) -> str:
    """A traceback none of whose lines looks like one that the log wrote itself."""
    return "".join(f"\n    {_printable(line)}" for line in text.splitlines())


@cache
def _schema(returns: Any) -> TypeAdapter[Any]:
    return TypeAdapter(returns)


_TEXT: TypeAdapter[str] = TypeAdapter(str)
_ERRORS: TypeAdapter[tuple[str, str]] = TypeAdapter(tuple[str, str])
_BY_NAME = {each.__name__: each for each in EXPECTED}
