"""The wheel is complete, and `imgsvc` runs from it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from imgsvc import __version__
from tests.servers import PACKAGES, ROOT


def test_the_wheel_is_complete_and_runs(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    for package in PACKAGES:
        kinds = ("py", "sql", "html", "css", "js", "json", "svg")
        wanted = [file.relative_to(ROOT) for kind in kinds for file in (ROOT / package).rglob(f"*.{kind}")]
        assert {str(file) for file in wanted} <= packed
    assert f"imgsvc-{__version__}.data/data/share/man/man1/imgsvc.1" in packed
    assert not any("Dockerfile" in name or name.startswith("tests") for name in packed)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    command = [sys.executable, "-m", "imgsvc", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == f"imgsvc {__version__}\n"
    command = [sys.executable, "-m", "imgsvc", "url", "a" * 32, "--url", "https://images.example.com"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == f"https://images.example.com/v1/images/{'a' * 32}\n", "the client is in the wheel"


def test_the_command_works_in_any_folder(tmp_path: Path) -> None:
    link = tmp_path / "imgsvc"
    link.symlink_to(ROOT / "scripts/imgsvc")
    done = subprocess.run([link, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "serve" in done.stdout
