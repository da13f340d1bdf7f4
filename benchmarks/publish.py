"""Writes what a run leaves behind: raw figures, plots, report."""

import subprocess
from pathlib import Path

from benchmarks import report
from benchmarks.peers import CannotInstall, report_venv
from benchmarks.results import Results, save
from benchmarks.systems.base import ROOT


def publish(results: Results, folder: Path) -> None:
    """Write results.json, plots/ and results.md into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder.resolve() / "results.json"
    save(results, raw)
    command = [str(report_venv() / "bin" / "python"), "-m", "benchmarks.plots", str(raw), str(raw.with_name("plots"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotInstall(f"could not draw: {done.stderr[-2000:]}")
    report.write(results, folder)
