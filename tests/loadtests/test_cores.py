"""Separate cores for service and load generator."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests import cores
from loadtests.cores import Cores


@pytest.mark.parametrize(
    ("mine", "service", "generator"),
    [({0, 1}, (0,), (1,)), ({2, 3, 5}, (2, 3), (5,)), (set(range(8)), (0, 1, 2, 3), (4, 5, 6, 7))],
)
def test_each_gets_half_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, mine: set[int], service: tuple[int, ...], generator: tuple[int, ...]
) -> None:
    monkeypatch.setattr(cores, "_SYSTEM", Path("/nowhere"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: mine)
    assert cores.split(os.cpu_count() or 0) == Cores(service, generator)


@pytest.mark.parametrize(
    ("lists", "service", "generator"),
    [
        (["0,2", "1,3", "0,2", "1,3"], (0, 2), (1, 3)),
        (["0-1", "0-1", "2-3", "2-3"], (0, 1), (2, 3)),
        (["0-1", "0-1"], (0,), (1,)),
    ],
)
def test_threads_of_a_core_stay_together(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    lists: list[str],
    service: tuple[int, ...],
    generator: tuple[int, ...],
) -> None:
    for number, text in enumerate(lists):
        folder = tmp_path / f"cpu{number}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{text}\n")
    monkeypatch.setattr(cores, "_SYSTEM", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(len(lists))))
    assert cores.split(os.cpu_count() or 0) == Cores(service, generator)


def test_a_single_core_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert cores.split(os.cpu_count() or 0) is None


def test_nothing_is_split_for_an_engine_on_another_machine() -> None:
    assert cores.split((os.cpu_count() or 0) + 1) is None


def test_child_processes_stay_on_the_generators_cores() -> None:
    before = os.sched_getaffinity(0)
    last = max(before)
    with Cores((0,), (last,)).kept():
        told = subprocess.check_output([sys.executable, "-c", "import os; print(*os.sched_getaffinity(0))"], text=True)
    assert told.split() == [str(last)]
    assert os.sched_getaffinity(0) == before
    assert str(Cores((0, 1), (2,))) == "the service had cores 0, 1, the load generator core 2"
