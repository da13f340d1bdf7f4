"""The containers of docker-compose.yml as a target: a project of its own on a free port."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from loadtests import cores, target
from loadtests.cores import Cores
from measuring.servers import ROOT, free_port

PROJECT = "imgsvc-load"
_START_SECONDS = 120
_NO_LIMIT = {"UPLOADS_PER_MINUTE": "600000", "RENDERS_PER_SECOND": "10000"}
"""All visitors have the same address here."""
_FILES = ("docker-compose.yml", "docker-compose.http.yml", "docker-compose.prod.yml")
_OWN_SETTINGS = (*(part for file in _FILES for part in ("-f", file)), "--env-file", "loadtests/stack.env")
"""Instead of `.env`, which has the database and the buckets that an operator uses."""
_OWN_CORES = ("-f", "loadtests/docker-compose.cores.yml")


class NoStack(Exception):
    """The containers did not start."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Running containers."""

    url: str
    docker: str
    containers: tuple[str, ...]
    project: str = PROJECT
    cores: Cores | None = None
    """None if the service shares them with the load generator, or runs on another machine."""

    def ids(self, service: str) -> list[str]:
        """The containers of a service, including stopped ones."""
        labels = (f"project={self.project}", f"service={service}")
        filters = [part for label in labels for part in ("-f", f"label=com.docker.compose.{label}")]
        return self.run("ps", "-aq", *filters).split()

    def run(self, *command: str) -> str:
        """What a docker command prints. Raises subprocess.CalledProcessError."""
        return subprocess.run([self.docker, *command], check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def started(apart: bool) -> Iterator[Stack]:
    """Build and start the stack, and remove it afterwards with its data. `apart`: on cores of its own."""
    docker, port = _docker(), free_port("0.0.0.0")  # noqa: S104  # Docker publishes it on all addresses
    split = cores.split(_cores_of_engine(docker)) if apart else None
    compose = [*_compose(docker), "-p", PROJECT, *_OWN_SETTINGS, *(_OWN_CORES if split else ())]
    environment = {
        **os.environ,
        **_NO_LIMIT,
        "PUBLISH": f"127.0.0.1:{port}",
        "COMPOSE_PROFILES": "",
        "DOCKER_BUILDKIT": "1",
        "COMPOSE_DOCKER_CLI_BUILD": "1",
        "PATH": str(Path(docker).parent) + os.pathsep + os.environ["PATH"],
        **({"LOADTEST_CORES": _numbers(split)} if split else {}),
    }
    down = [*compose, "down", "-v", "--remove-orphans"]
    _run(down, environment)
    try:
        _run([*compose, "up", "-d", "--build"], environment)
        url, ids = _url(port), _run([*compose, "ps", "-q"], environment).split()
        if split and not _is_pinned(docker, ids, split):
            print(
                "this engine cannot pin containers to cores: service and load generator share all of them", flush=True
            )
            split = None
        with split.kept() if split else nullcontext():
            yield Stack(url, docker, tuple(ids), cores=split)
    finally:
        _run(down, environment)


def _url(port: int) -> str:
    """With another address of this machine, if it has one: connections to 127.0.0.1 pass through Docker's proxy."""
    local = f"http://127.0.0.1:{port}"
    target.wait(local, _START_SECONDS)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError, target.TargetDown):
        probe.connect(("192.0.2.1", 9))  # sends nothing; an address for documentation (RFC 5737)
        other = f"http://{probe.getsockname()[0]}:{port}"
        target.wait(other, 0)
        return other
    return local


def _docker() -> str:
    """The real client: a folder that is earlier in PATH may have another program of that name."""
    for docker in filter(None, (shutil.which("docker", path="/usr/bin"), shutil.which("docker"))):
        if not subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
            return docker
    raise NoStack("no Docker Engine answers; start one, set DOCKER_HOST, or give a TARGET")


def _cores_of_engine(docker: str) -> int:
    """0 if it does not say."""
    said = subprocess.run([docker, "info", "-f", "{{.NCPU}}"], check=False, capture_output=True, text=True).stdout
    return int(said) if said.strip().isdigit() else 0


def _is_pinned(docker: str, ids: list[str], to: Cores) -> bool:
    """Whether all containers have these cores. An engine without the right to set them only warns."""
    command = [docker, "inspect", "-f", "{{.HostConfig.CpusetCpus}}", *ids]
    return set(_run(command, dict(os.environ)).splitlines()) == {_numbers(to)}


def _numbers(split: Cores) -> str:
    return ",".join(map(str, split.service))


def _compose(docker: str) -> list[str]:
    if not subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        return [docker, "compose"]
    if found := shutil.which("docker-compose"):
        return [found]
    raise NoStack("neither `docker compose` nor `docker-compose` is installed; install one, or give a TARGET")


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise NoStack(f"`{' '.join(command)}` failed: {' '.join(last)}")
    return done.stdout
