"""docs/cli.md says what the command line does, and its examples run."""

import re
import subprocess
from pathlib import Path

from imgsvc.cli import COMMANDS
from imgsvc.terminal.failures import EXIT_CODES
from tests import pictures, servers
from tests.docs.pages import blocks
from tests.imgsvc.command_line import CommandLine, numbered

PAGE = (servers.ROOT / "docs/cli.md").read_text()


def test_every_command_and_exit_code_is_described() -> None:
    first = "\n".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    assert set(re.findall("`([a-z]+)`", first)) == {name for entries in COMMANDS.values() for name in entries}
    codes = {
        int(code): text.replace("\\|", "|") for code, text in re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    }
    assert codes == EXIT_CODES


def test_the_examples_run(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg(800, 600))
    for file in numbered(tmp_path / "numbered", 3):
        (tmp_path / "photos").mkdir(exist_ok=True)
        file.rename(tmp_path / "photos" / file.name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/imgsvc").symlink_to(servers.ROOT / "scripts/imgsvc")
    found = [block for block in blocks(servers.ROOT / "docs/cli.md") if block.tested_by]
    assert len(found) == 2
    script = "\n".join(block.text for block in found)
    with servers.serve(tmp_path / "served") as served:
        shell = CommandLine(tmp_path, served.url).environment
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path, env={**shell, "PATH": f"{tmp_path}/bin:{shell['PATH']}"}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "identical" in done.stdout
    assert "3 stored, 0 already there" in done.stderr
    assert "0 stored, 3 already there" in done.stderr
    assert {"small.webp", "turned.avif", "thumbs", "backup"} <= {file.name for file in tmp_path.iterdir()}


def test_the_manual_page_renders_and_has_every_command(tmp_path: Path) -> None:
    command = [servers.program("man"), "--warnings", "-E", "UTF-8", "-l", str(servers.ROOT / "docs/imgsvc.1")]
    environment = {"MANWIDTH": "100", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for entries in COMMANDS.values():
        for name in entries:
            assert re.search(rf"^   imgsvc {name}\b", done.stdout, re.MULTILINE), name
    assert "141" in done.stdout.partition("EXIT STATUS")[2]
