"""The stack of docker-compose.yml, built and started for real."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests import remote
from tests.servers import ROOT, free_port, missing

PROJECT = "imgsvc-test"
OVERRIDE = Path(__file__).with_name("docker-compose.test.yml")
_START_SECONDS = 120


def compose_command() -> list[str]:
    """`docker compose`, or its older spelling; skips or fails where there is no engine."""
    docker = shutil.which("docker", path=f"/usr/bin:{os.environ['PATH']}")
    if not docker or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        missing("no Docker Engine answers; set DOCKER_HOST, or start one")
    assert docker
    if not subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        return [docker, "compose"]
    if not shutil.which("docker-compose"):
        missing("neither `docker compose` nor `docker-compose` is installed")
    return ["docker-compose"]


class Stack:
    """One project of containers."""

    def __init__(self, folder: Path, app_env: str, project: str) -> None:
        self.url = f"http://127.0.0.1:{_port()}"
        self._folder = folder
        files = ["docker-compose.yml", f"docker-compose.{app_env}.yml", str(OVERRIDE)]
        self._command = [*compose_command(), "-p", project, *(part for file in files for part in ("-f", file))]
        self._environment = {
            **os.environ,
            **remote.SETTINGS,
            "APP_ENV": app_env,
            "PORT": self.url.rpartition(":")[2],
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_DOCKER_CLI_BUILD": "1",
            "PATH": f"/usr/bin:{os.environ['PATH']}",
        }

    def run(self, *arguments: str) -> str:
        """Run a compose command, and return what it prints."""
        done = subprocess.run(
            [*self._command, *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"compose {arguments} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def wait(self) -> None:
        """Wait until both services answer through nginx."""
        deadline = time.monotonic() + _START_SECONDS
        for service in ("images", "transform"):
            while not _answers(f"{self.url}/v1/{service}/healthcheck"):
                if time.monotonic() > deadline:
                    pytest.fail(f"the stack did not start:\n{self.run('ps')}\n{self.run('logs', '--tail=50')}")
                time.sleep(0.2)


@contextmanager
def up(folder: Path = ROOT, app_env: str = "prod", project: str = PROJECT) -> Iterator[Stack]:
    """Build and start the stack; remove it with its volumes at the end."""
    stack = Stack(folder, app_env, project)
    stack.run("down", "-v", "--remove-orphans")
    try:
        stack.run("up", "-d", "--build")
        stack.wait()
        yield stack
    finally:
        stack.run("down", "-v", "--remove-orphans")


def _port() -> int:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("0.0.0.0", 8080))
        return 8080
    return free_port()


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False
