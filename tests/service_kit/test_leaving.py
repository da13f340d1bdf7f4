"""How a process ends that has used obstore."""

import subprocess
import sys

from tests import servers

_PROGRAM = """
import atexit, sys
from service_kit.leaving import leave

class Finalized:
    def __del__(self):
        print("finalized", flush=True)

kept = Finalized()
atexit.register(print, "at exit")
print("unflushed", end=", ")
leave(7)
"""


def test_output_and_exit_functions_are_kept_but_the_interpreter_is_not_finalized() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=servers.ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "unflushed, at exit\n", "")
