"""How the containers of a load test are started."""

import os
from pathlib import Path

import pytest
import yaml

from loadtests import cores, stack
from loadtests.cores import Cores
from tests.servers import ROOT

Commands = list[tuple[list[str], dict[str, str]]]


@pytest.fixture
def pinned_to() -> list[str]:
    """The cores that the engine reports for its containers."""
    return ["0"]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, pinned_to: list[str]) -> Commands:
    """The commands that would run; none of them does."""
    noted: Commands = []

    def note(command: list[str], environment: dict[str, str]) -> str:
        noted.append((command, environment))
        return "".join(f"{cores}\n" for cores in pinned_to) if "inspect" in command else ""

    monkeypatch.setattr(stack, "_docker", lambda: "/usr/bin/docker")
    monkeypatch.setattr(stack, "_compose", lambda docker: [docker, "compose"])
    monkeypatch.setattr(stack, "_cores_of_engine", lambda _: 2)
    monkeypatch.setattr(cores, "split", lambda _: Cores((0,), (max(os.sched_getaffinity(0)),)))
    monkeypatch.setattr(stack, "_run", note)
    monkeypatch.setattr(stack, "_url", lambda port: f"http://127.0.0.1:{port}")
    return noted


def test_no_setting_of_an_operator_reaches_the_stack(monkeypatch: pytest.MonkeyPatch, commands: Commands) -> None:
    """Neither from `.env`, which is not read, nor profiles, nor rates per client."""
    for name in ("COMPOSE_PROFILES", "RENDERS_PER_SECOND"):
        monkeypatch.setenv(name, "observe")
    with stack.started(apart=False):
        pass
    assert [command[-1] for command, _ in commands] == ["--remove-orphans", "--build", "-q", "--remove-orphans"]
    for command, environment in commands:
        env_file = command[command.index("--env-file") + 1]
        assert Path(ROOT, env_file).is_file()
        assert environment["COMPOSE_PROFILES"] == ""
        assert environment["RENDERS_PER_SECOND"] == "10000"


@pytest.mark.parametrize(("pinned_to", "apart"), [(["0", "0"], True), (["0", ""], False), (["", ""], False)])
def test_separate_cores_are_reported_only_if_the_engine_pins_them(
    commands: Commands, pinned_to: list[str], capsys: pytest.CaptureFixture[str], *, apart: bool
) -> None:
    """An engine without the right to pin ignores the setting and starts the containers."""
    del pinned_to
    with stack.started(apart=True) as started:
        assert (started.cores is not None) is apart
    up, environment = next(each for each in commands if "up" in each[0])
    assert "loadtests/docker-compose.cores.yml" in up
    assert environment["LOADTEST_CORES"] == "0"
    assert ("cannot pin containers" in capsys.readouterr().out) is not apart


def test_every_part_is_pinned() -> None:
    """A part that is missing would run on the load generator's cores."""
    parts = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    pinned = yaml.safe_load((ROOT / "loadtests/docker-compose.cores.yml").read_text())["services"]
    assert set(pinned) == {name for name, part in parts.items() if "profiles" not in part}
    assert all(part == {"cpuset": "${LOADTEST_CORES}"} for part in pinned.values())
