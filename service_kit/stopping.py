"""Signals to stop that arrive while gunicorn and its workers start."""

import os
import signal

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def end_early() -> None:
    """Make signals end gunicorn's main process until it is ready, and wait in each worker for `take_signals`.

    As the first process of a container, the main process would ignore them. A worker would lose them: at first it has
    the handlers of the main process, and then those of an event loop that does not run yet. gunicorn would then wait
    for it as long as requests may take.
    """
    for signum in _SIGNALS:
        signal.signal(signum, lambda *_: os._exit(0))
    os.register_at_fork(before=_hold, after_in_parent=take_signals)


def take_signals() -> None:
    """Deliver the signals that have arrived in the meantime. The event loop must run."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
