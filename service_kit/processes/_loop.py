"""The main loop of a worker process."""

import itertools
import os
import signal
import socket
import traceback
from contextlib import nullcontext, suppress
from select import POLLIN
from select import poll as Poll  # noqa: N812  # it makes objects
from typing import TYPE_CHECKING

from service_kit.errors import MemoryExceeded
from service_kit.processes import _messages as messages
from service_kit.processes._memory_guard import MemoryGuard
from service_kit.processes.sandbox import close_inherited_files, enter

if TYPE_CHECKING:
    from service_kit.processes.worker import Setup

_IDLE_SECONDS = 0.05
_MOST_KEPT = 96 * 1024**2
"""Bytes. A worker that holds more after a job is idle at once, even if the next job is there already."""


def work(connection: socket.socket, setup: "Setup") -> None:
    """Run jobs until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops its workers itself
    os.nice(setup.niceness)
    close_inherited_files(keep=connection.fileno())
    setup.initialize.resolve()()
    for task in setup.tasks:
        task.resolve()
    idle = setup.idle.resolve() if setup.idle else None
    guard = MemoryGuard()
    missing = enter(setup.sandbox, setup.most_memory)
    guard.start()
    waiting = Poll()
    waiting.register(connection, POLLIN)
    with suppress(EOFError, OSError):  # the parent has gone, or has no use for this worker
        connection.sendall(messages.answer(0, list[str], missing))
        for number in itertools.count(1):
            if idle and (guard.resident() > _MOST_KEPT or not waiting.poll(_IDLE_SECONDS * 1000)):
                idle()
            connection.sendall(_attempt(number, messages.receive(connection), guard))


def _attempt(number: int, job: messages.Job, guard: MemoryGuard) -> bytes:
    try:
        task, args, memory = messages.read_job(job)
        with guard.limit(memory) if memory is not None else nullcontext():
            value = task.resolve()(*args)
        return messages.answer(number, task.returns, value)
    except messages.EXPECTED as error:
        return messages.error_answer(number, error)
    except MemoryError:
        return messages.error_answer(number, MemoryExceeded())
    except Exception:  # noqa: BLE001
        return messages.bug_answer(number, traceback.format_exc())
