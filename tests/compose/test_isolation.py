"""Who can reach whom, and what a container that was taken over cannot do."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
import yaml

from tests.compose import stack
from tests.docs.pages import the_block
from tests.servers import ROOT

PORTS = {
    "varnish": 8081,
    "nginx": 8080,
    "storage": 8081,
    "transform": 8082,
    "jobs": 8083,
    "postgres": 5432,
    "redis": 6379,
}
REACHES = {
    "varnish": {"nginx", "storage"},
    "nginx": {"varnish", "storage", "transform", "jobs"},
    "storage": {"varnish", "nginx", "transform", "jobs", "postgres"},
    "transform": {"nginx", "storage", "jobs", "redis"},
    "jobs": {"nginx", "storage", "transform"},
}
"""Networks have no direction, so deletions (storage to Varnish) also let Varnish reach storage."""


class Running:
    """A running stack, and its containers by service."""

    def __init__(self, started: stack.Stack) -> None:
        self.stack = started
        self.containers = {service: started.containers(service)[0] for service in PORTS}

    def execute(self, service: str, *command: str) -> tuple[int, str]:
        """The exit code and the output of a command in a container."""
        done = subprocess.run(
            ["docker", "exec", self.containers[service], *command],
            env=self.stack.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def addresses(self, service: str) -> list[str]:
        """The addresses of a container in all its networks."""
        form = "{{range .NetworkSettings.Networks}}{{println .IPAddress}}{{end}}"
        return self.stack.docker("inspect", "-f", form, self.containers[service]).split()


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with stack.up(project="imgsvc-test-isolation") as started:
        started.follow(the_block("docs/production.md", "--retry 30"), {"http://127.0.0.1:8080": started.url})
        yield Running(started)


def test_logs_are_found_as_the_documents_say(running: Running) -> None:
    url = f"{running.stack.url}/v1/images?limit=1"
    with urllib.request.urlopen(url, timeout=30) as answer:
        request_id = answer.headers["X-Request-ID"]
    logs = running.stack.follow(the_block("docs/observability.md", "docker compose logs varnish nginx storage"))
    assert f'"request_id": "{request_id}"' in logs
    varnish = running.stack.follow(the_block("docs/production.md", "varnishlog"), {"…": request_id})
    assert f"X-Request-ID: {request_id}" in varnish
    running.stack.run("stop", "-t", "1", "storage")
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url, timeout=30)
    running.stack.run("start", "storage")
    running.stack.wait()
    refused = running.stack.follow(the_block("docs/observability.md", "--since 1h"))
    assert "/v1/images?limit=1" in refused


@pytest.mark.parametrize("service", REACHES)
def test_a_container_reaches_only_whom_it_needs(running: Running, service: str) -> None:
    others = {other: port for other, port in PORTS.items() if other != service}
    hosts = {host: other for other in others for host in (other, *running.addresses(other))}
    tries = [
        f"(timeout 5 bash -c 'exec 3<>/dev/tcp/{host}/{PORTS[other]}' 2>/dev/null && echo {host}) &"
        for host, other in hosts.items()
    ]
    _, said = running.execute(service, "bash", "-c", f"{' '.join(tries)} wait")
    reached = set(said.split())
    assert reached & others.keys() == REACHES[service]
    assert {hosts[host] for host in reached} == REACHES[service], "also by address"


def test_each_name_leads_to_one_address(running: Running) -> None:
    """Otherwise a purge would be sent twice, and a node would get two shares of the requests."""
    for service, others in REACHES.items():
        script = "; ".join(f"getent ahostsv4 {other} | cut -d' ' -f1 | sort -u" for other in sorted(others))
        code, said = running.execute(service, "bash", "-c", script)
        assert (code, len(said.split())) == (0, len(others)), (service, said)


@pytest.mark.parametrize("service", PORTS)
def test_processes_have_no_capabilities(running: Running, service: str) -> None:
    _, status = running.execute(service, "cat", "/proc/1/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (facts["CapEff"], facts["NoNewPrivs"]) == ("0" * 16, "1")
    assert facts["Uid"].split()[0] != "0"


def test_redis_refuses_strangers_and_all_that_the_service_does_not_do(running: Running) -> None:
    def ask(*command: str) -> str:
        return running.execute("redis", "redis-cli", "--no-auth-warning", *command)[1]

    _, password = running.execute("transform", "cat", "/run/keys/redis_password")
    login = ("--user", "imgsvc", "--pass", password.strip())
    for command in (("ping",), ("get", "imgsvc:x"), ("flushall",)):
        assert "NOAUTH" in ask(*command)
        assert "WRONGPASS" in ask("--user", "imgsvc", "--pass", "imgsvc", *command)
    assert ask(*login, "set", "imgsvc:x", "y").strip() == "OK"
    assert ask(*login, "getrange", "imgsvc:x", "0", "9").strip() == "y"
    for command in (
        ("set", "other", "y"),
        ("get", "imgsvc:x"),
        ("keys", "*"),
        ("scan", "0"),
        ("flushall",),
        ("config", "get", "dir"),
        ("config", "set", "dir", "/tmp"),
        ("acl", "list"),
        ("module", "list"),
        ("client", "list"),
        ("replicaof", "192.0.2.1", "6379"),
        ("subscribe", "x"),
        ("monitor",),
        ("eval", "return redis.call('keys', '*')", "0"),
        ("eval", "return redis.call('getrange', 'other', 0, 1)", "0"),
    ):
        said = ask(*login, *command)
        assert "NOPERM" in said or "can't run this command" in said or "can't access" in said, (command, said)


def test_the_database_has_a_random_password_that_only_storage_knows(running: Running) -> None:
    code, password = running.execute("storage", "cat", "/run/keys/password")
    assert (code, len(password.strip())) == (0, 64)
    connect = (
        "import asyncio, asyncpg, sys;"
        "asyncio.run(asyncpg.connect(host='postgres', user='imgsvc', database='imgsvc', password=sys.argv[1]))"
    )
    assert running.execute("storage", "python", "-c", connect, password.strip())[0] == 0
    for guess in ("imgsvc", "postgres", ""):
        code, said = running.execute("storage", "python", "-c", connect, guess)
        assert code, guess
        assert "InvalidPassword" in said or "empty password" in said
    for service in ("varnish", "nginx", "transform", "redis"):
        assert password.strip() not in running.execute(service, "sh", "-c", "cat /run/keys/* /proc/1/environ")[1]
    for service in PORTS:
        inspected = running.stack.docker("inspect", running.containers[service])
        assert password.strip() not in inspected, "not in the environment"


def test_production_does_not_start_with_the_former_default_password(running: Running) -> None:
    command = [*running.stack._command, "run", "--rm", "-e", "POSTGRES_PASSWORD=imgsvc", "keys"]
    done = subprocess.run(command, cwd=ROOT, env=running.stack.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "keys: POSTGRES_PASSWORD=imgsvc is known to everybody; choose another one" in done.stdout + done.stderr


def test_keys_stay_when_everything_is_started_again(running: Running) -> None:
    def keys() -> list[str]:
        return [running.execute(service, "sh", "-c", "cat /run/keys/*")[1] for service in ("storage", "transform")]

    before = keys()
    running.stack.run("up", "-d", "--force-recreate", "keys", "storage", "transform")
    running.stack.wait()
    running.containers |= {service: running.stack.containers(service)[0] for service in ("storage", "transform")}
    assert keys() == before


@pytest.mark.parametrize("service", ["nginx", "storage"])
def test_a_container_cannot_fill_the_machine_with_processes(running: Running, service: str) -> None:
    limit = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][service]["pids_limit"]
    fork = f"for n in $(seq {limit + 50}); do sleep 2 & done; wait"
    code, said = running.execute(service, "timeout", "-s", "KILL", "60", "bash", "-c", fork)
    assert "Resource temporarily unavailable" in said, (code, said[-500:])
    deadline = time.monotonic() + 30
    while running.execute(service, "true")[0]:  # its processes have not ended yet
        assert time.monotonic() < deadline
        time.sleep(0.1)
