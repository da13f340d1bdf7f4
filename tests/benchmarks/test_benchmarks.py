"""The benchmark runs and finds no wrong answer. What it measures here says nothing: other tests run meanwhile."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT


@pytest.mark.usefixtures("photo")
def test_a_short_run_has_figures_and_no_wrong_answer() -> None:
    scope = ["--quick", "--rounds", "1", "--only", "thumbs", "--formats", "jpeg", "--systems", "imgsvc", "libvips"]
    command = [sys.executable, "-m", "benchmarks", *scope, "--before", str(Path.cwd())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "our answers that were wrong                                              0" in done.stdout, done.stderr
    assert "our goodput / libvips's" in done.stdout
    assert "now / before" in done.stdout
