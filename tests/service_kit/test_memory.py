"""What counts as memory in use, in control groups of both versions."""

from pathlib import Path

import pytest

from service_kit import memory

VERSION_1 = """\
inactive_file 1
active_file 1
total_inactive_file 300
total_active_file 500
total_shmem 70
"""
VERSION_2 = """\
anon 130
file 870
shmem 70
inactive_file 300
active_file 500
"""


@pytest.mark.parametrize(
    ("limit", "usage", "stat"),
    [
        pytest.param("memory.limit_in_bytes", "memory.usage_in_bytes", VERSION_1, id="version 1"),
        pytest.param("memory.max", "memory.current", VERSION_2, id="version 2"),
    ],
)
def test_cached_files_are_not_in_use_however_often_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, usage: str, stat: str
) -> None:
    files = {limit: "2000\n", usage: "1000\n", "memory.stat": stat}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_groups", lambda: [(tmp_path, limit)])
    assert memory.used_memory() == 200, "what is in a tmpfs is in use"


def test_what_this_machine_tells_is_within_its_memory() -> None:
    used = memory.used_memory()
    assert used is None or 0 < used < memory.available_memory()
