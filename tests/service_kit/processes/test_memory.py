"""Memory in use, in control groups of both versions."""

from pathlib import Path

import pytest

from service_kit.processes import _control_groups as control_groups
from service_kit.processes import memory

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
    ("version", "files"),
    [
        (1, {"memory.limit_in_bytes": "2000", "memory.usage_in_bytes": "1000", "memory.stat": VERSION_1}),
        (2, {"memory.max": "2000", "memory.current": "1000", "memory.stat": VERSION_2}),
    ],
)
def test_cached_files_do_not_count_as_used_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, files: dict[str, str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(control_groups, "own", lambda _: [(tmp_path, version)])
    assert memory.used_memory() == 200, "files in a tmpfs count as used"


def test_this_machine_uses_less_memory_than_it_has() -> None:
    used = memory.used_memory()
    assert used is None or 0 < used < memory.available_memory()
