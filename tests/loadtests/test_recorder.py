"""What is counted in addition to answers."""

import subprocess
import sys

from tests.servers import ROOT

STUMBLE = """
import sys
from locust.env import Environment
from loadtests.api_clients import ApiClient
from loadtests.ledger import Ledger
from loadtests.recorder import Recorder
from loadtests.settings import Settings

ledger, environment = Ledger(), Environment()
Recorder(Settings(), ledger).listen(environment)
user = ApiClient.__new__(ApiClient)
environment.events.user_error.fire(user_instance=user, exception=TypeError("no length"), tb=None)
(second,) = ledger.tallies
print(ledger.summary("api", second, second + 1).error_share, dict(ledger.failures))
"""


def test_a_task_that_raises_is_a_failure_of_its_group() -> None:
    """In a process of its own, because locust patches the process that imports it."""
    done = subprocess.run([sys.executable, "-c", STUMBLE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "1.0 {'api task: TypeError: no length': 1}\n", done.stderr
