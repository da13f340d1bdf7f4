"""Installs the peers, at pinned versions, below `.peers`."""

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
_PEERS = HERE / ".peers"


class CannotInstall(Exception):
    """A program that is needed to install is missing, or it failed."""


def thumbor_venv() -> Path:
    """The environment that has thumbor, installed if necessary."""
    requirements = HERE / "requirements" / "thumbor.txt"

    def command(folder: Path) -> list[str]:
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        return [*pip, "--require-hashes", "-r", str(requirements)]

    return _installed("thumbor", [requirements], command)


def ipx_folder() -> Path:
    """The folder that has ipx and server.mjs, installed if necessary."""
    sources = [HERE / "ipx" / name for name in ("package.json", "package-lock.json", ".npmrc", "server.mjs")]

    def command(folder: Path) -> list[str]:
        npm = shutil.which("npm")
        if npm is None:
            raise CannotInstall("ipx needs Node.js 20 or newer with npm (Debian: npm)")
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(source, folder)
        return [npm, "ci", "--silent"]

    return _installed("ipx", sources, command)


def _installed(name: str, sources: Sequence[Path], command: Callable[[Path], list[str]]) -> Path:
    """Its folder. It is installed again when one of the sources has changed."""
    folder = _PEERS / name
    stamp, digest = folder / ".installed", hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"installing {name} for the benchmark", flush=True)
        try:
            subprocess.run(command(folder), cwd=folder, check=True, timeout=900, stdout=sys.stderr)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise CannotInstall(f"{name} could not be installed: {error}") from error
        stamp.write_text(digest)
    return folder
