"""`python -m loadtests` as people start it."""

import os
import subprocess
import sys

from tests.servers import ROOT


def loadtests(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The finished command, in a process of its own: locust patches the one that it is imported in."""
    return subprocess.run(
        [sys.executable, "-m", "loadtests", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
