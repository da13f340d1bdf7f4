"""strace: what a process asks of the kernel, and faults in the answers."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers import program


def threads(pids: Sequence[int]) -> list[int]:
    """All threads of these processes."""
    found: list[int] = []
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    return found


@contextmanager
def strace(pids: Sequence[int], output: Path, *options: str) -> Iterator[None]:
    """Attach to these processes and what they start, until the context ends."""
    attached = [option for pid in pids for option in ("-p", str(pid))]
    command = [program("strace"), "-f", "-y", "-s", "40", "-o", str(output), *options, *attached]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        _wait_until_traced(process, pids)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


def calls(trace: Path) -> list[str]:
    """The calls in a trace, each in one line even if others came between its beginning and its end.

    A call that sends something is listed where it began, and all others where they ended.
    """
    found: list[str] = []
    begun: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        thread, call = line.split(maxsplit=1)  # strace pads short numbers
        if call.endswith("<unfinished ...>"):
            if call.startswith(("write", "send")):
                found.append(line)
            else:
                begun[thread] = line.removesuffix(" <unfinished ...>")
        elif call.startswith("<... "):
            if thread in begun:
                found.append(begun.pop(thread) + call.partition(" resumed>")[2])
        else:
            found.append(line)
    return found


def _wait_until_traced(process: "subprocess.Popen[str]", pids: Sequence[int]) -> None:
    deadline = time.monotonic() + 20
    while not all(_is_traced(pid) for pid in threads(pids)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "strace did not attach"
        time.sleep(0.01)


def _is_traced(pid: int) -> bool:
    try:
        return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True  # it has ended
