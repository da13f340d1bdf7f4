"""`imgsvc completion`, in real shells."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests import servers
from tests.imgsvc.command_line import CommandLine


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One with `imgsvc` on the path, and a profile."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/imgsvc").symlink_to(servers.ROOT / "scripts/imgsvc")
    file = tmp_path / ".config/imgsvc/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[profiles.workshop]\nurl = "http://127.0.0.1:1"\n')
    shell = CommandLine(tmp_path).environment
    return {**shell, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "TERM": "dumb", "PS1": "> "}


CASES = [
    ("imgsvc precom", "precompute"),
    ("imgsvc upload --priv", "--private"),
    ("imgsvc keys rev", "revoke"),
    ("imgsvc list --visibility pri", "private"),
    ("imgsvc list --profile work", "workshop"),
]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes_commands_options_values_and_profiles(environment: dict[str, str], shell: str) -> None:
    started = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    prepare = {"bash": "", "zsh": "autoload -U compinit; compinit -u -D; unsetopt beep; "}[shell]
    servers.program(shell)
    with on_terminal(started, environment) as (send, read_until):
        send(f'{prepare}eval "$(imgsvc completion {shell})"; echo rea""dy\n')
        read_until("ready")
        for typed, completed in CASES:
            send(f"{typed}\t")
            read_until(typed[: typed.rindex(" ") + 1] + completed)
            send("\x15")  # Ctrl-U clears the line


def test_fish_completes_commands_options_values_and_profiles(environment: dict[str, str]) -> None:
    fish = servers.program("fish")
    for typed, completed in CASES:
        code = f"imgsvc completion fish | source; complete -C '{typed}'"
        done = subprocess.run(
            [fish, "--no-config", "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert completed in [line.partition("\t")[0] for line in done.stdout.splitlines()], done.stdout + done.stderr


@contextmanager
def on_terminal(command: list[str], environment: dict[str, str]) -> Iterator[tuple[object, object]]:
    """A shell on a terminal: functions that send it keys, and that wait until it has shown a text."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    seen = [""]

    def send(text: str) -> None:
        seen[0] = ""
        os.write(master, text.encode())

    def read_until(text: str) -> None:
        end = time.monotonic() + 30
        while text not in seen[0].replace("\r", "").replace("\x07", ""):
            ready, _, _ = select.select([master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} is not in {seen[0]!r}"
            with suppress(UnicodeDecodeError):
                seen[0] += os.read(master, 65536).decode()

    try:
        yield send, read_until
    finally:
        process.kill()
        process.wait()
        os.close(master)
