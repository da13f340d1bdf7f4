"""The containers of docker-compose.yml as a target: a project of its own, on a free port."""

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

PROJECT = "imgsvc-load"
_ROOT = Path(__file__).parents[1]
_START_SECONDS = 120
_NO_LIMIT = {"UPLOADS_PER_MINUTE": "600000", "RENDERS_PER_SECOND": "10000"}
"""All visitors come from one address here."""
_OWN_SETTINGS = ("-f", "docker-compose.yml", "-f", "docker-compose.prod.yml", "--env-file", "loadtests/stack.env")
"""Not those of `.env`: an operator's has the database and the buckets that are in use, and what runs beside them."""

_OWN_CORES = ("-f", "loadtests/docker-compose.cores.yml")


class NoStack(Exception):
    """The containers cannot be started."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Started containers."""

    url: str
    docker: str
    containers: tuple[str, ...]
    project: str = PROJECT
    cores: Cores | None = None
    """None: the service shares them with the load generator, or has a machine of its own."""

    def ids(self, service: str) -> list[str]:
        """The containers of a service, stopped ones too."""
        project, of = f"label=com.docker.compose.project={self.project}", f"label=com.docker.compose.service={service}"
        return self.run("ps", "-aq", "-f", project, "-f", of).split()

    def run(self, *command: str) -> str:
        """What a docker command prints; subprocess.CalledProcessError where it fails."""
        done = subprocess.run([self.docker, *command], check=True, capture_output=True, text=True)
        return done.stdout.strip()


@contextmanager
def started(apart: bool) -> Iterator[Stack]:
    """Build and start the stack; remove it with all it stored at the end. `apart`: on cores of its own."""
    docker = _docker()
    split = cores.split(_cores_of_engine(docker)) if apart else None
    compose = [*_compose(docker), "-p", PROJECT, *_OWN_SETTINGS, *(_OWN_CORES if split else ())]
    port = free_port()
    environment = _environment(docker, port)
    if split:
        environment["LOADTEST_CORES"] = _numbers(split)
    _run([*compose, "down", "-v", "--remove-orphans"], environment)
    try:
        _run([*compose, "up", "-d", "--build"], environment)
        url = _url(port)
        ids = _run([*compose, "ps", "-q"], environment).split()
        if split and not _is_pinned(docker, ids, split):
            print("this engine cannot keep containers on some cores: service and load generator share all", flush=True)
            split = None
        with split.kept() if split else nullcontext():
            yield Stack(url, docker, tuple(ids), cores=split)
    finally:
        _run([*compose, "down", "-v", "--remove-orphans"], environment)


def _environment(docker: str, port: int) -> dict[str, str]:
    """The shell's variables, by which a part is sized for a run, and what every run has."""
    environment = {**os.environ, **_NO_LIMIT, "PORT": str(port), "COMPOSE_PROFILES": ""}
    environment |= {"DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1"}
    return environment | {"PATH": str(Path(docker).parent) + os.pathsep + os.environ["PATH"]}


def _url(port: int) -> str:
    """By another address of this machine, if it has one: what comes to 127.0.0.1 passes a proxy of Docker's."""
    local = f"http://127.0.0.1:{port}"
    target.wait(local, _START_SECONDS)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError, target.TargetDown):
        probe.connect(("192.0.2.1", 9))  # nothing is sent; an address for documentation (RFC 5737)
        other = f"http://{probe.getsockname()[0]}:{port}"
        target.wait(other, 0)
        return other
    return local


def _docker() -> str:
    """The real client: a folder before it in PATH may have another program of that name."""
    for docker in filter(None, (shutil.which("docker", path="/usr/bin"), shutil.which("docker"))):
        if not subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
            return docker
    raise NoStack("no Docker Engine answers: start one, set DOCKER_HOST, or give a TARGET")


def _cores_of_engine(docker: str) -> int:
    """0 where it does not say."""
    said = subprocess.run([docker, "info", "-f", "{{.NCPU}}"], check=False, capture_output=True, text=True)
    return int(said.stdout) if said.stdout.strip().isdigit() else 0


def _is_pinned(docker: str, ids: list[str], to: Cores) -> bool:
    """Whether all containers have these cores: an engine without the right to set them drops them with a warning."""
    command = [docker, "inspect", "-f", "{{.HostConfig.CpusetCpus}}", *ids]
    return set(_run(command, dict(os.environ)).splitlines()) == {_numbers(to)}


def _numbers(split: Cores) -> str:
    return ",".join(map(str, split.service))


def _compose(docker: str) -> list[str]:
    if not subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        return [docker, "compose"]
    if found := shutil.which("docker-compose"):
        return [found]
    raise NoStack("neither `docker compose` nor `docker-compose` is installed: install one, or give a TARGET")


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise NoStack(f"`{' '.join(command)}` failed: {' '.join(last)}")
    return done.stdout


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))  # noqa: S104  # where Docker publishes it
        return int(probe.getsockname()[1])
