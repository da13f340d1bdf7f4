"""The stack of docker-compose.yml, built and started in a Docker Engine."""

import itertools
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import pytest

from tests import remote
from tests.docs.pages import Block
from tests.servers import ROOT, free_port, missing

PROJECT = "imgsvc-test"
OVERRIDE = Path(__file__).with_name("docker-compose.test.yml")
_START_SECONDS = 120
_PAUSE_TRIES = 20
ONE_EACH: Mapping[str, int] = MappingProxyType({})
NONE: Mapping[str, str] = MappingProxyType({})


def compose_command() -> list[str]:
    """`docker compose` or `docker-compose`. Skips the test, or fails it in CI, without a Docker Engine."""
    docker = shutil.which("docker", path=f"/usr/bin:{os.environ['PATH']}")
    if not docker or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        missing("no Docker Engine answers; start one, or set DOCKER_HOST")
    assert docker
    if not subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        return [docker, "compose"]
    if not shutil.which("docker-compose"):
        missing("neither `docker compose` nor `docker-compose` is installed")
    return ["docker-compose"]


class Stack:
    """The containers of one compose project."""

    def __init__(
        self,
        folder: Path,
        app_env: str,
        project: str,
        scale: Mapping[str, int] = ONE_EACH,
        settings: Mapping[str, str] = NONE,
        *,
        spare_ports: int = 0,
        entrance: str = "http",
    ) -> None:
        """`scale`: containers per service, by default one. `settings`: environment variables for compose.

        `spare_ports`: for updates of Varnish.
        """
        nodes = scale.get("varnish", 1) + spare_ports
        port = _port() if nodes == 1 else _free_range(nodes)
        https = free_port()
        self.url = f"http://127.0.0.1:{port}" if entrance == "http" else f"https://127.0.0.1:{https}"
        self.scale = dict(scale)
        self.project = project
        self._folder = folder
        files = ["docker-compose.yml", f"docker-compose.{entrance}.yml", f"docker-compose.{app_env}.yml", str(OVERRIDE)]
        self._files = ":".join(files)
        self._command = [*compose_command(), "-p", project, *(part for file in files for part in ("-f", file))]
        self.environment = {
            **os.environ,
            **remote.SETTINGS,
            "APP_ENV": app_env,
            "AUTH": "open",
            "PUBLISH": f"127.0.0.1:{port}" if nodes == 1 else f"127.0.0.1:{port}-{port + nodes - 1}",
            "HTTPS_PORT": str(https),
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_HTTP_TIMEOUT": "300",  # for volumes with many files, on a busy machine
            "COMPOSE_DOCKER_CLI_BUILD": "1",
            "PATH": f"/usr/bin:{os.environ['PATH']}",
            **settings,
        }

    def run(self, *arguments: str) -> str:
        """Run a compose command, and return what it prints."""
        done = subprocess.run(
            [*self._command, *arguments],
            cwd=self._folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"compose {arguments} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def update(self, *services: str) -> "subprocess.CompletedProcess[str]":
        """Run scripts/rolling-update."""
        named = {"COMPOSE_FILE": self._files, "COMPOSE_PROJECT_NAME": self.project}
        command = [str(self._folder / "scripts/rolling-update"), *services]
        return subprocess.run(command, env=self.environment | named, capture_output=True, text=True, check=False)

    def follow(self, block: Block, replacements: Mapping[str, str] = NONE) -> str:
        """Run a block of the documentation in the folder of this stack, and return what it prints.

        `docker compose` is the one that this machine has, with this project and its files.
        """
        with tempfile.TemporaryDirectory() as programs:
            docker = shutil.which("docker", path=self.environment["PATH"])
            compose = " ".join(compose_command())
            wrapper = Path(programs, "docker")
            wrapper.write_text(f'#!/bin/bash\n[ "$1" = compose ] && shift && exec {compose} "$@"\nexec {docker} "$@"\n')
            wrapper.chmod(0o755)
            named = {"COMPOSE_FILE": self._files, "COMPOSE_PROJECT_NAME": self.project}
            environment = {**self.environment, **named, "PATH": f"{programs}:{self.environment['PATH']}"}
            text = block.text
            for old, new in replacements.items():
                assert old in text, f"{block} has no {old}"
                text = text.replace(old, new)
            command = ["bash", "-euo", "pipefail", "-c", text]
            done = subprocess.run(
                command, cwd=self._folder, env=environment, capture_output=True, text=True, check=False
            )
        assert done.returncode == 0, f"{block} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def scale_to(self, service: str, number: int) -> None:
        """Run this number of containers of a service, and leave everything else as it is."""
        self.run("up", "-d", "--no-deps", "--no-recreate", "--scale", f"{service}={number}", service)

    def docker(self, *arguments: str) -> str:
        """Run a docker command, and return what it prints."""
        command = ["docker", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"docker {arguments} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def pause(self, container: str) -> None:
        """Freeze a container. Retried, since runc sometimes fails to freeze busy threads in time."""
        for attempt in itertools.count(1):
            done = subprocess.run(
                ["docker", "pause", container], env=self.environment, capture_output=True, text=True, check=False
            )
            if not done.returncode:
                return
            assert attempt < _PAUSE_TRIES, f"docker pause failed: {done.stderr}"

    def log(self, service: str) -> str:
        """The output of a service's containers, one after the other."""
        printed = []
        for container in self.containers(service):
            command = ["docker", "logs", container]
            done = subprocess.run(
                command,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=True,
                text=True,
            )
            printed.append(done.stdout)
        return "".join(printed)

    def containers(self, service: str) -> list[str]:
        """The IDs of a service's containers."""
        return self.run("ps", "-q", service).split()

    def redis(self, *command: str) -> str:
        """The output of redis-cli, with the rights of the transform service."""
        password = self.docker("exec", self.containers("transform")[0], "cat", "/run/keys/redis_password").strip()
        login = ("redis-cli", "--no-auth-warning", "--user", "imgsvc", "--pass", password)
        return self.docker("exec", self.containers("redis")[0], *login, *command)

    def urls(self) -> list[str]:
        """The URL of each Varnish node."""
        return [self.url_of(container) for container in self.containers("varnish")]

    def url_of(self, container: str) -> str:
        """The URL on which a Varnish node is published."""
        return f"http://127.0.0.1:{self.docker('port', container, '8080/tcp').split()[0].rpartition(':')[2]}"

    def counted(self, service: str, metric: str) -> float:
        """The sum of a metric over all containers of a service."""
        code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8082/metrics').read().decode())"
        total = 0.0
        for container in self.containers(service):
            text = self.docker("exec", container, "python", "-c", code)
            total += sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(metric))
        return total

    def wait_healthy(self, container: str) -> None:
        """Run a container's own health check until it passes. The engine runs it every 30 s only."""
        check = json.loads(self.docker("inspect", "-f", "{{json .Config.Healthcheck.Test}}", container))
        assert check[0] == "CMD"
        deadline = time.monotonic() + _START_SECONDS
        command = ["docker", "exec", container, *check[1:]]
        while subprocess.run(command, env=self.environment, capture_output=True, check=False).returncode:
            if time.monotonic() > deadline:
                pytest.fail(f"{container} is not healthy:\n{self.docker('logs', '--tail=50', container)}")
            time.sleep(0.2)

    def wait(self) -> None:
        """Wait until both services answer through nginx."""
        deadline = time.monotonic() + _START_SECONDS
        for service in ("images", "transform"):
            while not _answers(f"{self.url}/v1/{service}/healthcheck"):
                if time.monotonic() > deadline:
                    pytest.fail(f"the stack did not start:\n{self.run('ps')}\n{self.run('logs', '--tail=50')}")
                time.sleep(0.2)


@contextmanager
def up(
    folder: Path = ROOT,
    app_env: str = "prod",
    project: str = PROJECT,
    scale: Mapping[str, int] = ONE_EACH,
    settings: Mapping[str, str] = NONE,
    *,
    spare_ports: int = 0,
    entrance: str = "http",
) -> Iterator[Stack]:
    """Build and start the stack, and remove it with its volumes at the end. `entrance`: http or tls."""
    stack = Stack(folder, app_env, project, scale, settings, spare_ports=spare_ports, entrance=entrance)
    stack.run("down", "-v", "--remove-orphans")
    try:
        stack.run("up", "-d", "--build", *(part for name, n in scale.items() for part in ("--scale", f"{name}={n}")))
        if spare_ports:  # the engine takes any port of the range
            stack.url = stack.urls()[0]
        stack.wait()
        yield stack
    finally:
        stack.run("down", "-t", "1", "-v", "--remove-orphans")


def _free_range(length: int) -> int:
    """The first of `length` consecutive free ports, below those that the kernel gives to outgoing connections."""
    while True:
        first = random.randrange(20_000, 32_000)
        with suppress(OSError), ExitStack() as probes:
            for port in range(first, first + length):
                probes.enter_context(socket.socket()).bind(("0.0.0.0", port))
            return first


def _port() -> int:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("0.0.0.0", 8080))
        return 8080
    return free_port()


def _answers(url: str) -> bool:
    anyone = ssl._create_unverified_context()  # whether it answers at all
    with suppress(OSError), urllib.request.urlopen(url, timeout=2, context=anyone) as answer:
        return bool(answer.status == 200)
    return False
