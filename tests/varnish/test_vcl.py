"""The VCL. Each file of varnish/tests tests one behaviour."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.servers import ROOT, program

VCL = ROOT / "varnish"


@pytest.mark.parametrize("test", sorted((VCL / "tests").glob("*.vtc")), ids=lambda path: path.stem)
def test_vcl(test: Path) -> None:
    command = [program("varnishtest"), f"-Dvcl={VCL}", str(test)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": "/tmp"})
    assert done.returncode == 0, done.stdout[-8000:]
