"""Running commands of `imgsvc` as people do, and images to run them on."""

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from service_kit.processes.memory import resident_bytes
from tests import pictures
from tests.servers import ROOT

_COMMAND = [sys.executable, "-m", "imgsvc"]
_SHOWN = re.compile(r"(?:stored|imported) ([\d,]+) of ([\d,]+)")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str
    content: bytes

    @property
    def lines(self) -> list[dict[str, object]]:
        """What it has printed, as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class CommandLine:
    """Somebody's terminal, who has a home folder and may have a service."""

    home: Path
    url: str = ""
    key: str = ""
    folder: Path = ROOT
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of commands."""
        mine = {name: text for name, text in (("IMGSVC_URL", self.url), ("IMGSVC_KEY", self.key)) if text}
        outer = {name: text for name, text in os.environ.items() if not name.startswith(("IMGSVC_", "XDG_"))}
        return {**outer, "HOME": str(self.home), "PYTHONPATH": str(ROOT), **mine, **self.variables}

    def run(self, *arguments: object, stdin: bytes = b"", **variables: str) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            [*_COMMAND, *map(str, arguments)],
            cwd=self.folder, env={**self.environment, **variables}, input=stdin, capture_output=True, check=False,
        )  # fmt: skip
        text = done.stdout.decode(errors="replace")
        assert "Traceback" not in done.stderr.decode(), done.stderr.decode()
        return Done(done.returncode, text, done.stderr.decode(), done.stdout)

    def ok(self, *arguments: object, stdin: bytes = b"", **variables: str) -> Done:
        """Run a command that succeeds."""
        done = self.run(*arguments, stdin=stdin, **variables)
        assert done.code == 0, done.err
        return done

    @contextmanager
    def started(self, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
        """A command that runs, with its output in `process.stdout`."""
        command = [*_COMMAND, *map(str, arguments)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment, **options)  # type: ignore[call-overload]
        with process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def on_terminal(
        self, *arguments: object, look: Callable[[int], None] | None = None, stdout: IO[bytes] | None = None
    ) -> Iterator["Terminal"]:
        """A command on a terminal. `look` is called with each number of images that its bar shows."""
        master, slave = pty.openpty()
        environment = {**self.environment, "COLUMNS": "100", "TERM": "xterm"}
        command = [*_COMMAND, *map(str, arguments)]
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdin=slave, stdout=stdout or slave, stderr=slave,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        terminal = Terminal(process, master, look)
        try:
            yield terminal
        finally:
            process.kill()
            process.wait()
            terminal.reader.join()


class Terminal:
    """What a command shows on a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, look: Callable[[int], None] | None) -> None:
        self.process = process
        self.text = ""
        self.shown: list[tuple[int, int]] = []
        """Images that the bar has shown as done, and all of them, in the order of its frames."""
        self.master = master
        self._look = look
        self._changed = threading.Condition()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def wait_for(self, number: int, seconds: float = 60) -> None:
        """Wait until the bar shows so many images."""
        with self._changed:
            reached = self._changed.wait_for(lambda: bool(self.shown) and self.shown[-1][0] >= number, seconds)
        assert reached, self.text[-2000:]

    def ended(self, seconds: float = 120) -> int:
        """The exit code, when it has ended."""
        code = self.process.wait(seconds)
        self.reader.join()
        return code

    def press_ctrl_c(self) -> None:
        """What a terminal does then."""
        self.process.send_signal(signal.SIGINT)

    def _read(self) -> None:
        with suppress(OSError):  # EIO at the end
            while data := os.read(self.master, 65536):
                self._note(data.decode(errors="replace"))
        os.close(self.master)

    def _note(self, text: str) -> None:
        found = [(int(done.replace(",", "")), int(total.replace(",", ""))) for done, total in _SHOWN.findall(text)]
        for done, _ in found:
            if self._look:
                self._look(done)
        with self._changed:
            self.text += text
            self.shown += found
            self._changed.notify_all()


def numbered(folder: Path, number: int, size: tuple[int, int] = (32, 24)) -> list[Path]:
    """Images with the same pixels and different bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    image = pictures.jpeg(*size)
    files = []
    for each in range(number):
        file = folder / f"{each // 1000:03}" / f"{each:06}.jpg"
        if each % 1000 == 0:
            file.parent.mkdir(exist_ok=True)
        comment = f"number {each}".encode()
        file.write_bytes(image[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + image[2:])
        files.append(file)
    return files


class Watch:
    """The most memory that a process has had."""

    def __init__(self, pid: int) -> None:
        self.most = 0
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> int:
        """Stop looking. Returns the bytes."""
        self._end.set()
        self._thread.join()
        return self.most

    def _look(self) -> None:
        while not self._end.wait(0.02):
            with suppress(OSError, ValueError):
                self.most = max(self.most, resident_bytes(self._pid))
