"""gunicorn's configuration for the transform service."""

from typing import Any

from service_kit.gunicorn import every_address, leave_listening_to_workers, longest_stop, on_exit, worker_exit
from service_kit.stopping import end_early

__all__ = ["on_exit", "worker_exit"]

end_early()

bind = every_address(8082)
graceful_timeout = longest_stop()


def on_starting(_server: Any) -> None:
    """Prepare."""
    leave_listening_to_workers()
