"""What locust runs: all users, and the chosen shape."""

import logging
import signal
from typing import Any

import gevent
from locust import events
from locust.env import Environment

from loadtests import shapes, visitor
from loadtests.api_clients import ApiClient
from loadtests.attackers import Attacker
from loadtests.ledger import Ledger
from loadtests.recorder import Recorder
from loadtests.settings import Settings
from loadtests.uploaders import Uploader
from loadtests.viewers import Viewer

__all__ = ["ApiClient", "Attacker", "Uploader", "Viewer"]

_settings, _ledger = Settings(), Ledger()
visitor.prepare(_settings)
Shape = shapes.chosen(_settings, _ledger)


def _interrupted() -> None:
    raise KeyboardInterrupt


def _listen(environment: Environment, **_: Any) -> None:
    # Ctrl-C. From a greenlet of its own it reaches locust's main. Raised by Python in whatever runs, it was lost in two
    # of ten runs, which went on.
    gevent.signal_handler(signal.SIGINT, _interrupted)
    # The recorder prints a line every five seconds, and the report has the tables.
    logging.getLogger("locust.stats_logger").setLevel(logging.WARNING)
    Recorder(_settings, _ledger).listen(environment)


events.init.add_listener(_listen)
