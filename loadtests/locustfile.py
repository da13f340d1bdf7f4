"""What locust loads: all users, and the shape that SHAPE names."""

import logging
import signal
from typing import Any

import gevent
from locust import events
from locust.env import Environment

from loadtests import settings, shapes, visitor
from loadtests.api_clients import ApiClient
from loadtests.attackers import Attacker
from loadtests.ledger import Ledger
from loadtests.recorder import Recorder
from loadtests.uploaders import Uploader
from loadtests.viewers import Viewer

__all__ = ["ApiClient", "Attacker", "Uploader", "Viewer"]

_settings = settings.read()
_ledger = Ledger()
visitor.prepare(_settings)
Shape = shapes.chosen(_settings, _ledger)


def _interrupted() -> None:
    raise KeyboardInterrupt


def _listen(environment: Environment, **_: Any) -> None:
    # Ctrl-C. From a greenlet of its own it reaches locust's main; raised by Python in the midst of whatever runs, it
    # was lost in two of ten runs, which went on.
    gevent.signal_handler(signal.SIGINT, _interrupted)
    # One line in five seconds (recorder.py) tells how it goes; the report has the tables.
    logging.getLogger("locust.stats_logger").setLevel(logging.WARNING)
    Recorder(_settings, _ledger).listen(environment)


events.init.add_listener(_listen)
