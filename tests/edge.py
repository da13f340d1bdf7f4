"""nginx and Varnish with the code of this repository in front of both services, without containers."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from measuring.servers import running
from tests.servers import ROOT, await_port, free_port, program


@dataclass
class Edge:
    """The ports of running layers, and their processes and logs by name."""

    folder: Path
    ports: dict[str, int]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def url(self, layer: str) -> str:
        """The URL of a layer: `nginx` or `varnish`."""
        return f"http://127.0.0.1:{self.ports[layer]}"

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")


@contextmanager
def started(folder: Path, **environment: str) -> Iterator[Edge]:
    """Run both services, nginx and Varnish, with these variables for all of them."""
    names = ("storage", "transform", "nginx", "status", "varnish", "proxy", "inside")
    edge = Edge(folder, {name: free_port() for name in names})
    with ExitStack() as stack:
        for start in (_storage, _transform, _nginx, _varnish):
            stack.enter_context(start(edge, environment))
        yield edge


@contextmanager
def restarted(edge: Edge, **environment: str) -> Iterator[None]:
    """Run both services again with other variables, instead of those that run, while nginx and Varnish go on."""
    for name in ("storage", "transform"):
        edge.processes[name].terminate()
        edge.processes[name].wait(20)
    with _storage(edge, environment), _transform(edge, environment):
        yield


@contextmanager
def jobs(edge: Edge) -> Iterator[None]:
    """Run the jobs service, too."""
    edge.ports["jobs"] = free_port()
    settings = {
        "JOBS_PORT": str(edge.ports["jobs"]),
        "STORAGE_URL": f"http://127.0.0.1:{edge.ports['storage']}",
        "TRANSFORM_URL": f"http://127.0.0.1:{edge.ports['transform']}",
    }
    with _process(edge, "jobs", [sys.executable, "-m", "jobs_service"], settings):
        yield


@contextmanager
def varnish_restarted(edge: Edge) -> Iterator[None]:
    """Run Varnish again, with an empty cache, while the others go on."""
    edge.processes["varnish"].terminate()
    edge.processes["varnish"].wait(20)
    with _process(edge, "varnish", ["bash", str(edge.folder / "varnish" / "start")], _varnish_settings(edge)):
        yield


@contextmanager
def _process(edge: Edge, name: str, command: list[str], environment: dict[str, str]) -> Iterator[None]:
    log = edge.folder / f"{name}.log"
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with running(command, log, cwd=edge.folder, env=variables) as process:
        await_port(edge.ports[name], process, log)
        edge.processes[name] = process
        yield


def _storage(edge: Edge, environment: dict[str, str]) -> AbstractContextManager[None]:
    settings = {
        "STORAGE_PORT": str(edge.ports["storage"]),
        "DATA_DIR": str(edge.folder / "data"),
        "SPOOL_DIR": str(edge.folder / "spool"),
        "ACCEL_PREFIX": "/originals/",
        "PURGE_URLS": json.dumps([f"http://127.0.0.1:{edge.ports[name]}" for name in ("inside", "transform")]),
    }
    return _process(edge, "storage", [sys.executable, "-m", "storage_service"], {**settings, **environment})


def _transform(edge: Edge, environment: dict[str, str]) -> AbstractContextManager[None]:
    settings = {
        "TRANSFORM_PORT": str(edge.ports["transform"]),
        "STORAGE_URL": f"http://127.0.0.1:{edge.ports['storage']}",
        "SPOOL_DIR": str(edge.folder / "spool-transform"),
        "RESULT_CACHE_URL": "memory://",
        "BLOB_URL": f"file://{edge.folder}/data/blobs",
        "ACCEL_PREFIX": "/originals/",
    }
    return _process(edge, "transform", [sys.executable, "-m", "transform_service"], {**settings, **environment})


def _nginx(edge: Edge, environment: dict[str, str]) -> AbstractContextManager[None]:
    program("nginx", "usr/sbin")
    code = _copy(
        edge,
        "nginx",
        {
            "/etc/nginx": edge.folder / "nginx",
            "/tmp": edge.folder / "nginx" / "run",
            "/data/blobs": edge.folder / "data" / "blobs",
            "listen 8080": f"listen {edge.ports['nginx']}",
            "[::]:8080": f"[::]:{edge.ports['nginx']}",
            "8083": edge.ports["status"],
            "1F90": f"{edge.ports['nginx']:04X}",
            # As root, workers would become nobody, who may not read the test's folders.
            "daemon off;": "daemon off; user root;" if os.getuid() == 0 else "daemon off;",
        },
    )
    settings = {
        "STORAGE": f"127.0.0.1:{edge.ports['storage']}",
        "TRANSFORM": f"127.0.0.1:{edge.ports['transform']}",
        "DRAIN_SECONDS": "0",
        "UPLOADS_PER_MINUTE": "600000",
        "RENDERS_PER_SECOND": "10000",
    }
    return _process(edge, "nginx", ["bash", str(code / "start.sh")], {**settings, **environment})


def _varnish(edge: Edge, environment: dict[str, str]) -> AbstractContextManager[None]:
    program("varnishd", "usr/sbin")
    code = _copy(
        edge,
        "varnish",
        {
            "/etc/varnish": edge.folder / "varnish",
            "/tmp/varnish": edge.folder / "varnish" / "run",
            "http=:8080": f"http=:{edge.ports['varnish']}",
            "proxy=:8443": f"proxy=:{edge.ports['proxy']}",
            "inside=:8081": f"inside=:{edge.ports['inside']}",
            "1F90|20FB": f"{edge.ports['varnish']:04X}|{edge.ports['proxy']:04X}",
            "varnishd -F": "varnishd -j none -F",
        },
    )
    return _process(edge, "varnish", ["bash", str(code / "start")], {**_varnish_settings(edge), **environment})


def _varnish_settings(edge: Edge) -> dict[str, str]:
    return {
        "ORIGIN": f"127.0.0.1:{edge.ports['nginx']}",
        "DRAIN_SECONDS": "0",
        "VARNISH_SIZE": "64m",
        "USAGE_URL": f"http://127.0.0.1:{edge.ports['storage']}",
    }


def _copy(edge: Edge, name: str, replaced: dict[str, object]) -> Path:
    """A copy of a container's files, with other paths and ports than in the container."""
    copy, pattern = edge.folder / name, re.compile("|".join(re.escape(old) for old in replaced))
    shutil.copytree(ROOT / name, copy, ignore=shutil.ignore_patterns("tests"))
    for file in copy.rglob("*"):
        if file.is_file():
            file.write_text(pattern.sub(lambda found: str(replaced[found[0]]), file.read_text()))
    (copy / "run").mkdir()
    return copy
