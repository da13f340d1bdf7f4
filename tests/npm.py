"""Packages from npm that tests need, as a package-lock.json says."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests import servers
from tests.packages import FOLDER as CACHE

_SECONDS = 250


def installed(source: Path) -> Path:
    """A folder with `node_modules`, from the package-lock.json in `source`. It outlives clones of the repository."""
    lock = (source / "package-lock.json").read_bytes()
    folder = CACHE / f"{source.name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, folder)
        npm = servers.program("npm")
        command = [npm, "ci", "--silent", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
        if done.returncode:
            servers.missing(f"npm could not install {source.name}: {done.stderr[-500:]}")
        (folder / "installed").touch()
    return folder
