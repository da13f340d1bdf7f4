"""The images find each other outside of a Docker network: by search domain, by /etc/hosts, over IPv6."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.compose.stack import compose_command
from tests.servers import ROOT, missing

IMAGES = {"storage": ("-f", "storage_service/Dockerfile", "."), "nginx": ("nginx",), "varnish": ("varnish",)}
DOMAIN = "images.svc.cluster.test"


def docker(*arguments: str) -> str:
    """What a docker command prints, on both outputs if it is `logs`."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    done = subprocess.run(
        ["docker", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"docker {arguments} failed:\n{done.stderr[-3000:]}"
    return (done.stdout + done.stderr if arguments[0] == "logs" else done.stdout).strip()


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    """The IDs of the images."""
    compose_command()
    return {name: docker("build", "-q", *arguments) for name, arguments in IMAGES.items()}


@dataclass
class Containers:
    """Containers that end with the test."""

    images: dict[str, str]
    started: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)

    def run(self, image: str, *options: str) -> str:
        """Start a container; returns its ID."""
        container = docker("run", "-d", "-e", "AUTH=open", *options, self.images[image])
        self.started.append(container)
        return container

    def network(self, *options: str) -> str:
        """Create a network; returns its name."""
        name = f"imgsvc-test-{uuid.uuid4().hex[:8]}"
        docker("network", "create", *options, name)
        self.networks.append(name)
        return name

    def address(self, container: str, key: str = "IPAddress") -> str:
        """The address of a container in its only network."""
        networks = json.loads(docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", container))
        (network,) = networks.values()
        return str(network[key])


@pytest.fixture
def containers(images: dict[str, str]) -> Iterator[Containers]:
    running = Containers(images)
    try:
        yield running
    finally:
        for container in running.started:
            docker("rm", "-f", "-v", container)
        for network in running.networks:
            docker("network", "rm", network)


def ask(address: str, path: str = "/v1/images?limit=1") -> tuple[int, dict[str, object]]:
    """Status and JSON of a response, once there is one."""
    host = f"[{address}]" if ":" in address else address
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://{host}:8080{path}", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"{address} does not answer")


def wait_for(address: str, status: int) -> dict[str, object]:
    """The JSON of the first response with this status."""
    for _ in range(300):
        found, body = ask(address)
        if found == status:
            return body
        time.sleep(0.1)
    pytest.fail(f"{address} answers {found}: {body}")


def test_the_images_work_on_a_plain_bridge(containers: Containers) -> None:
    nginx = containers.run("nginx")
    alone = wait_for(containers.address(nginx), 502)
    assert alone["detail"] == "the service behind this URL does not answer; retry in a second"
    storage = containers.run("storage")
    nginx = containers.run("nginx", "--add-host", f"storage:{containers.address(storage)}")
    varnish = containers.run("varnish", "--add-host", f"nginx:{containers.address(nginx)}")
    for container in (nginx, varnish):
        assert wait_for(containers.address(container), 200) == {"images": [], "cursor": None}


def test_names_are_completed_by_the_search_domain(containers: Containers) -> None:
    """As with headless services of Kubernetes, whose names have the addresses of all nodes."""
    network = containers.network()

    def run(service: str, name: str) -> str:
        alias = f"{name}.{DOMAIN}"
        return containers.run(service, "--network", network, "--network-alias", alias, "--dns-search", DOMAIN)

    storages = [run("storage", "storage") for _ in range(2)]
    run("nginx", "nginx")
    varnish = run("varnish", "varnish")
    address = containers.address(varnish)
    wait_for(address, 200)
    for _ in range(300):  # until both nodes have started, and nginx tries the later one again
        assert ask(address)[0] == 200
        if all("/v1/images" in docker("logs", storage) for storage in storages):
            return
        time.sleep(0.1)
    pytest.fail("only one of two nodes gets requests")


def test_a_service_may_come_later_and_have_only_an_ipv6_address(containers: Containers) -> None:
    if not Path("/proc/net/if_inet6").exists():
        missing("the kernel has no IPv6")
    network = containers.network("--ipv6", "--subnet", f"fd00:{uuid.uuid4().hex[:4]}::/64")
    storage = containers.run("storage", "--network", network)
    six = containers.address(storage, "GlobalIPv6Address")
    nginx = containers.run("nginx", "--network", network)
    six_nginx = containers.address(nginx, "GlobalIPv6Address")
    varnish = containers.run("varnish", "--network", network)
    address = containers.address(varnish)
    time.sleep(2)  # each has looked for the other in vain
    for container, name, host in ((nginx, "storage", six), (varnish, "nginx", six_nginx)):
        docker("exec", "-u", "root", container, "sh", "-c", f"echo '{host} {name}' >>/etc/hosts")
    wait_for(address, 200)
    assert f"storage is at {six}" in docker("logs", nginx)
