"""A reader who copies the blocks of a page, one after the other, into a terminal in an empty folder."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import yaml

from tests.docs.pages import Block
from tests.imgsvc.sites import KEY
from tests.servers import ROOT, free_port, program

_MAKE = """\
#!/bin/bash
# `make run` as in the repository, but in the background. `make run NAME=VALUE` sets a variable.
[ "$1" = run ] || { echo "make $*: this page may only call make run" >&2; exit 2; }
shift
[ $# = 0 ] || export "$@"
: >"$SERVICE_LOG"
nohup "$IMGSVC_PYTHON" -m imgsvc serve >"$SERVICE_LOG" 2>&1 &
echo $! >>"$SERVICE_PIDS"
until grep -q ' on http://' "$SERVICE_LOG"; do
  kill -0 $! 2>/dev/null || { cat "$SERVICE_LOG" >&2; exit 1; }
  sleep 0.05
done
"""
_DOCKER = """\
#!/bin/bash
# Commands in the container of the storage service run here, and nothing else does.
[ "$1 $2" = 'compose run' ] || { echo "docker $*: name the test that runs this" >&2; exit 2; }
shift 2
while [[ $1 = -* ]]; do [ "$1" != -e ] || shift; shift; done
[ "$1 $2" = 'storage python' ] || { echo "docker compose run $*: name the test that runs this" >&2; exit 2; }
shift 2
exec "$IMGSVC_PYTHON" "$@"
"""
_PIP = """\
#!/bin/bash
# Into a folder of the reader's, with the build backend that is installed already.
[ "$1" = install ] || { echo "pip $*: this page may only install" >&2; exit 2; }
shift
exec "$IMGSVC_PYTHON" -m pip install -q --no-deps --no-build-isolation --target "$HOME/packages" --upgrade "$@"
"""
_IMGSVC = '#!/bin/bash\nexec "$IMGSVC_PYTHON" -m imgsvc "$@"\n'
_SESSION = """\
set -euo pipefail
[ ! -f .session ] || . ./.session
cd "${{FOLDER:-.}}"
set -a
{text}
set +a
export FOLDER=$PWD
cd "$HOME"
export -p >.session
"""


@dataclass
class Reader:
    """Has a folder, a photo, and a service: the one at `url`, or the one that a page has started by `make run`."""

    folder: Path
    url: str = ""
    data: Path = Path()
    replacements: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._programs = self.folder / "bin"
        self._programs.mkdir(parents=True)
        for name, text in (("make", _MAKE), ("imgsvc", _IMGSVC), ("docker", _DOCKER), ("pip", _PIP)):
            (self._programs / name).write_text(text)
            (self._programs / name).chmod(0o755)
        self._port = int(self.url.rpartition(":")[2]) if self.url else free_port()
        self._log, self._pids = self.folder / "service.log", self.folder / "service.pids"
        self._home = self.folder / "home"
        self._home.mkdir()
        (self._home / "clients").symlink_to(ROOT / "clients")

    def close(self) -> None:
        """Stop what the page has started."""
        for pid in self._pids.read_text().split() if self._pids.exists() else []:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)

    def add(self, name: str, content: bytes) -> None:
        """Give the reader a file."""
        (self._home / name).write_bytes(content)

    def file(self, name: str) -> Path:
        """A file that the page has made."""
        return self._home / name

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        text = self._as_here(block.text)
        kind = block.language.split(" ")[0]
        if kind == "sh":
            self._run(text, block)
        elif kind == "python":
            self.add("block.py", text.encode())
            self._run('"$IMGSVC_PYTHON" block.py', block)
        elif kind == "js":
            self.add("block.mjs", text.encode())
            self._run(f"{program('node')} block.mjs", block)
        elif kind == "ini":
            self._know(text, block)
        elif kind == "json":
            json.loads(text)
        elif kind == "yaml":
            yaml.safe_load(text)
        else:
            raise AssertionError(f"{block}: nobody runs {kind!r}; say why in `<!-- not run: REASON -->` above it")

    def urls(self, block: Block) -> list[str]:
        """The images in a block of HTML."""
        found = _Images(block.text).found
        assert found, f"{block} shows no image"
        return found

    def _know(self, text: str, block: Block) -> None:
        """Settings in a file such as `.env`: their names exist."""
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        names = {line.partition("=")[0] for line in lines}
        files = (ROOT / ".env", ROOT / "docs/configuration.md", *ROOT.glob("docker-compose*.yml"))
        known = "".join(file.read_text() for file in files)
        unknown = [name for name in names if not re.search(rf"\b{name}\b", known) and not name.startswith("OTEL_")]
        assert not unknown, f"{block} has settings that do not exist: {unknown}"

    def _as_here(self, text: str) -> str:
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{self._port}")
        if "ik_…" in text:
            text = text.replace("ik_…", KEY.findall(self._log.read_text())[0])
        for old, new in self.replacements.items():
            text = text.replace(old, new)
        return text

    def _run(self, text: str, block: Block) -> None:
        command = ["bash", "-c", _SESSION.format(text=text)]
        done = subprocess.run(
            command, cwd=self._home, env=self._environment(), capture_output=True, text=True, check=False, timeout=100
        )
        assert done.returncode == 0, f"{block} failed:\n{done.stdout}\n{done.stderr}"
        for url in re.findall(rf"^http://127\.0\.0\.1:{self._port}/\S+$", done.stdout, re.MULTILINE):
            urllib.request.urlopen(url, timeout=60).close()  # the reader opens it; an error is an exception

    def _environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name != "AUTH"},
            "HOME": str(self._home),
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{self._home / 'packages'}",
            "PORT": str(self._port),
            "DATA_DIR": str(self.data if self.url else self._home / "var"),
            "SPOOL_DIR": str(self.folder / "spool"),
            "IMGSVC_PYTHON": sys.executable,
            "SIGNING_SECRET": "sk_0123456789ab_this-is-a-secret-for-tests_43-characters-ab",
            "SERVICE_LOG": str(self._log),
            "SERVICE_PIDS": str(self._pids),
        }


class _Images(HTMLParser):
    """The URLs of a page's images."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "src":
                self.found.append(value or "")
            if name in {"srcset", "imagesrcset"}:
                self.found += [part.split()[0] for part in (value or "").split(", ")]
