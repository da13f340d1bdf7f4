"""`python -m benchmarks.endurance.instrumented serve`: imgsvc whose metrics and log SIGUSR1 turns on and SIGUSR2 off.

Both sides run in one process: two processes of the same program differ by 5 %, by their layout in memory.
"""

import signal
import sys

from aiohttp import web

from imgsvc.cli import main
from service_kit import server
from service_kit.access import AccessLogger

ON, OFF = signal.SIGUSR1, signal.SIGUSR2


class _Switched(AccessLogger):
    on = True

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        if self.on:
            super().log(request, response, time)


def _switch(signum: int, _frame: object) -> None:
    _Switched.on = signum == ON


if __name__ == "__main__":
    for signum in (ON, OFF):
        signal.signal(signum, _switch)
    setattr(server, "AccessLogger", _Switched)  # noqa: B010  # the server passes it to aiohttp
    sys.exit(main())
