"""What people are told to type for `imgsvc`."""

import sys
from pathlib import Path

import pytest

from service_kit import calling


def test_the_command_is_the_one_next_to_the_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "my env/bin/imgsvc"
    script.parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    monkeypatch.setattr(calling, "_CONTAINER", tmp_path / "none")
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(tmp_path)
    assert calling.imgsvc() == "python -m imgsvc"
    monkeypatch.setattr(calling, "_CONTAINER", tmp_path)
    assert calling.imgsvc() == "docker compose run --rm --no-deps storage python -m imgsvc"
    script.touch(0o755)
    assert calling.imgsvc() == "'my env/bin/imgsvc'"
    monkeypatch.chdir("/usr")
    (tmp_path / "bin").mkdir()
    assert calling.imgsvc() == f"'{script}'"
    (tmp_path / "bin/imgsvc").symlink_to(script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert calling.imgsvc() == "imgsvc"
