"""Four times as many requests as the service can answer, for 60 s."""

import subprocess
import sys

import pytest

from tests import servers
from tests.faults.length import LONG


@pytest.mark.skipif(not LONG, reason="it measures speed, which needs an idle machine: make faults")
@pytest.mark.timeout(900)
def test_goodput_lasts_and_refusals_are_quick() -> None:
    command = [sys.executable, "-m", "benchmarks.endurance", "overload"]
    done = subprocess.run(command, cwd=servers.ROOT, capture_output=True, text=True, check=False)
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
