"""gunicorn's configuration for the storage service, whose processes share metrics in a folder."""

import os
import shutil
from pathlib import Path
from typing import Any

from prometheus_client import multiprocess

from service_kit.gunicorn import every_address, leave_listening_to_workers, longest_stop, on_exit, worker_exit
from service_kit.stopping import end_early

__all__ = ["on_exit", "worker_exit"]

end_early()

bind = every_address(8081)
graceful_timeout = longest_stop()


def on_starting(_server: Any) -> None:
    """Start with an empty folder: its files belong to processes that ended with the container."""
    leave_listening_to_workers()
    folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def child_exit(_server: Any, worker: Any) -> None:
    """Remove the gauges of a process that has ended. Its counts stay."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
