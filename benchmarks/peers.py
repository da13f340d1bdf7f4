"""Installs what the benchmark compares with, and what draws its plots, at pinned versions below `.peers`."""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
PEERS = HERE / ".peers"


class CannotInstall(Exception):
    """A program that is needed to install is missing, or it failed."""


def thumbor_venv() -> Path:
    """The environment that has thumbor, installed if need be."""
    return _venv("thumbor")


def report_venv() -> Path:
    """The environment that has SSIMULACRA2 and matplotlib, installed if need be."""
    return _venv("report")


def ipx_folder() -> Path:
    """The folder that has ipx and server.mjs, installed if need be."""
    folder = PEERS / "ipx"
    sources = [HERE / "ipx" / name for name in ("package.json", "package-lock.json", ".npmrc", "server.mjs")]
    if not _is_current(folder, sources):
        npm = shutil.which("npm")
        if npm is None:
            raise CannotInstall("ipx needs Node.js 20 or newer with npm (Debian: npm)")
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(source, folder)
        _install("ipx", [npm, "ci", "--silent"], folder)
        _stamp(folder, sources)
    return folder


def _venv(name: str) -> Path:
    folder, requirements = PEERS / name, HERE / "requirements" / f"{name}.txt"
    if not _is_current(folder, [requirements]):
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        _install(name, [*pip, "--require-hashes", "-r", str(requirements)], HERE)
        _stamp(folder, [requirements])
    return folder


def _install(name: str, command: list[str], folder: Path) -> None:
    print(f"installing {name} for the benchmark", flush=True)
    try:
        subprocess.run(command, cwd=folder, check=True, timeout=900, stdout=sys.stderr)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(f"could not install {name}: {error}") from error


def _is_current(folder: Path, sources: list[Path]) -> bool:
    stamp = folder / ".installed"
    return stamp.exists() and stamp.read_text() == _digest(sources)


def _stamp(folder: Path, sources: list[Path]) -> None:
    (folder / ".installed").write_text(_digest(sources))


def _digest(sources: list[Path]) -> str:
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
