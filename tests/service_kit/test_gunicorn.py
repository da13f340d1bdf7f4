"""The services under gunicorn: when they accept connections, and when they end."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service_kit.gunicorn import _has_unsent_bytes
from tests.servers import ROOT, await_port, free_port, running


@contextmanager
def serving(
    service: str, folder: Path, port: int, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A service as its container starts it, but for the port."""
    command = [
        sys.executable, "-m", "gunicorn", f"{service}.__main__:application", "--config", f"python:{service}.gunicorn",
        "--worker-class", "aiohttp.GunicornUVLoopWebWorker", "--bind", f"127.0.0.1:{port}", "--no-control-socket",
    ]  # fmt: skip
    folders = {"DATA_DIR": str(folder / "data"), "SPOOL_DIR": str(folder / "spool")}
    metrics = {"PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics")} if service == "storage_service" else {}
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **folders, **metrics, **environment}
    log = folder / "log"
    with running(command, log, cwd=ROOT, env=variables) as process:
        yield process, log


def test_a_node_accepts_no_connection_before_a_worker_has_started(tmp_path: Path) -> None:
    port, database = free_port(), f"postgresql://imgsvc@127.0.0.1:{free_port()}/imgsvc"
    with serving("storage_service", tmp_path, port, DATABASE_URL=database) as (process, log):
        while "waiting up to 20 s for the metadata database" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        process.send_signal(signal.SIGQUIT)


@pytest.mark.parametrize("service", ["storage_service", "transform_service"])
def test_a_node_that_has_started_accepts_connections(tmp_path: Path, service: str) -> None:
    port = free_port()
    with serving(service, tmp_path, port, WEB_CONCURRENCY="1") as (process, log):
        await_port(port, process, log)
        name = "images" if service == "storage_service" else "transform"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/{name}/healthcheck", timeout=5) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()


@pytest.mark.parametrize("said", ["Starting gunicorn", "Booting worker"])
@pytest.mark.parametrize("service", ["storage_service", "transform_service"])
def test_a_node_that_is_stopped_while_it_starts_ends(tmp_path: Path, service: str, said: str) -> None:
    with serving(service, tmp_path, free_port(), WEB_CONCURRENCY="1") as (process, log):
        while said not in log.read_text():
            assert process.poll() is None, log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()


def test_what_a_client_has_not_read_counts_as_unsent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        connection, _ = server.accept()
        connection.setblocking(False)
        assert not _has_unsent_bytes(port)
        connection.send(bytes(64 * 1024**2))
        connection.close()
        assert _has_unsent_bytes(port)
        while client.recv(1024**2):
            pass
        client.close()
        assert not _has_unsent_bytes(port)
