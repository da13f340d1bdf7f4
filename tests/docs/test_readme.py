"""The commands in README work as they stand, on any port."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests import pictures, servers
from tests.servers import ROOT


def _commands(heading: str, document: str = "README.md") -> str:
    section = (ROOT / document).read_text().partition(f"# {heading}\n")[2]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def test_five_minutes_with_curl(tmp_path: Path) -> None:
    if not shutil.which("curl"):
        servers.missing("curl is not installed")
    commands = _commands("Five minutes with curl")
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg(800, 600))
    with servers.serve(tmp_path / "served") as served:
        environment = {**os.environ, "PORT": served.url.rpartition(":")[2]}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "identical" in done.stdout
    assert "did you mean 'thumb'?\n  rotate=90&thum=300\n" in done.stdout
    made = {"original.jpg", "photo.webp", "small.webp", "other.webp", "turned.jpg", "cover.webp"}
    assert made <= {file.name for file in tmp_path.iterdir()}
    assert (tmp_path / "cover.webp").read_bytes()[8:12] == b"WEBP"


def test_a_library_with_curl(tmp_path: Path) -> None:
    commands = _commands("A library of images", "docs/library.md")
    (tmp_path / "beach.jpg").write_bytes(pictures.jpeg(800, 600))
    with servers.serve(tmp_path / "served") as served:
        environment = {**os.environ, "URL": f"{served.url}/v1"}
        command = ["bash", "-euo", "pipefail", "-c", commands]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    uploaded, changed, found = (json.loads(line) for line in done.stdout.splitlines() if line)
    assert (uploaded["alt"], changed["alt"], changed["tags"]) == ("An empty beach", "", ["sea", "france"])
    assert [image["image_id"] for image in found["images"]] == [uploaded["image_id"]]


def test_what_the_console_asks_with_curl(tmp_path: Path) -> None:
    commands = [_commands(heading, "docs/console.md") for heading in ("Sign in", "The plan of a variant")]
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg(800, 600))
    with servers.serve(tmp_path / "served", AUTH="auto") as served:
        environment = {**os.environ, "URL": f"{served.url}/v1"}
        command = ["bash", "-euo", "pipefail", "-c", "\n".join(commands)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    me, plan = (json.loads(line) for line in done.stdout.splitlines() if line)
    assert (me["keys_required"], plan["width"], plan["height"]) == (False, 225, 300)


def test_a_command_of_the_readme_fails_if_the_service_refuses(tmp_path: Path) -> None:
    """`-f`: a script stops at the first error. Only the command that shows an error has no `-f`."""
    commands = [line for line in _commands("Five minutes with curl").splitlines() if line.startswith("curl ")]
    assert [line for line in commands if not line.startswith("curl -f")] == [next(c for c in commands if "thum=" in c)]
    with servers.serve(tmp_path, PORT="0") as served:
        printed = [line for line in served.log.read_text().splitlines() if line.startswith("  curl ")]
        assert len(printed) == 3
        assert all(line.startswith("  curl -f") and served.url in line for line in printed)
