"""Hooks for gunicorn's main process, which manages the folder in which the service's processes share metrics."""

import os
import shutil
from pathlib import Path
from typing import Any

from prometheus_client import multiprocess


def on_starting(_server: Any) -> None:
    """Start with an empty folder: its files belong to processes that ended with the container."""
    folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def child_exit(_server: Any, worker: Any) -> None:
    """Remove the gauges of a process that has ended. Its counts stay."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
