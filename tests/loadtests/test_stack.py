"""What the containers of a load test are started with."""

from pathlib import Path

import pytest
import yaml

from loadtests import stack
from tests.servers import ROOT


def test_no_setting_of_an_operator_reaches_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what `.env` has (another file is read), nor what runs beside it, nor a rate of one client."""
    for name in ("COMPOSE_PROFILES", "RENDERS_PER_SECOND"):
        monkeypatch.setenv(name, "observe")
    commands: list[tuple[list[str], dict[str, str]]] = []

    def noted(command: list[str], environment: dict[str, str]) -> str:
        commands.append((command, environment))
        return ""

    monkeypatch.setattr(stack, "_docker", lambda: "/usr/bin/docker")
    monkeypatch.setattr(stack, "_compose", lambda docker: [docker, "compose"])
    monkeypatch.setattr(stack, "_run", noted)
    monkeypatch.setattr(stack, "_url", lambda port: f"http://127.0.0.1:{port}")
    with stack.started(apart=False):
        pass
    assert [command[-1] for command, _ in commands] == ["--remove-orphans", "--build", "-q", "--remove-orphans"]
    for command, environment in commands:
        env_file = command[command.index("--env-file") + 1]
        assert Path(ROOT, env_file).is_file()
        assert environment["COMPOSE_PROFILES"] == ""
        assert environment["RENDERS_PER_SECOND"] == "10000"


def test_every_part_that_is_started_has_the_services_cores() -> None:
    """One that is left out would run on the load generator's, and be measured with it."""
    parts = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    pinned = yaml.safe_load((ROOT / "loadtests/docker-compose.cores.yml").read_text())["services"]
    assert set(pinned) == {name for name, part in parts.items() if "profiles" not in part}
    assert all(part == {"cpuset": "${LOADTEST_CORES}"} for part in pinned.values())
