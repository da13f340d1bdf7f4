"""The VCL. Each file of varnish/tests tests one behaviour."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.servers import ROOT, program

VCL = ROOT / "varnish"


@pytest.mark.parametrize("test", sorted((VCL / "tests").glob("*.vtc")), ids=lambda path: path.stem)
def test_vcl(test: Path) -> None:
    moments = [f"-Dsoon={int(time.time()) + 500}", f"-Dlater={int(time.time()) + 1000}"]
    command = [program("varnishtest"), f"-Dvcl={VCL}", *moments, str(test)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": "/tmp"})
    assert done.returncode == 0, done.stdout[-8000:]


@pytest.mark.parametrize("nodes", [[], ["192.0.2.1:8080"], ["192.0.2.1:8080", "[2001:db8::1]:8080"]])
@pytest.mark.parametrize("state", ["staying", "leaving"])
def test_the_vcl_compiles_with_any_nodes(tmp_path: Path, state: str, nodes: list[str]) -> None:
    """Without any, as long as the name of nginx has no address."""
    environment = {**os.environ, "TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.7,2001:db8::/32,2001:db8::1"}
    (tmp_path / "nodes.vcl").write_bytes(subprocess.check_output([VCL / "nodes", state, *nodes], env=environment))
    command = [program("varnishd", "usr/sbin"), "-j", "none", "-C", "-n", str(tmp_path / "work")]
    command += ["-p", f"vcl_path={tmp_path}:{VCL}", "-f", str(VCL / "default.vcl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
