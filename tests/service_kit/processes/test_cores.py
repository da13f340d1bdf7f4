"""How many cores a process may use."""

import os
from pathlib import Path

import pytest

from service_kit.processes import _control_groups as control_groups
from service_kit.processes.cores import available_cores


@pytest.mark.parametrize(
    ("version", "files", "cores"),
    [
        (1, {"cpu.cfs_quota_us": "150000\n", "cpu.cfs_period_us": "100000\n"}, 2),
        (1, {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, 6),
        (2, {"cpu.max": "20000 100000\n"}, 1),
        (2, {"cpu.max": "max 100000\n"}, 6),
        (2, {}, 6),
    ],
)
def test_a_quota_limits_the_number_of_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, files: dict[str, str], cores: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    inner = tmp_path / "container"
    inner.mkdir()
    monkeypatch.setattr(control_groups, "ROOT", tmp_path)
    monkeypatch.setattr(control_groups, "own", lambda _: [(inner, version)])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    assert available_cores() == cores
