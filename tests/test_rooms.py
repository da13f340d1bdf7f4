"""Only worker processes load libvips, and private modules stay private."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import PACKAGES, ROOT

WORKER_ROOMS = ("imaging.pixels", "transform_service.rendering")
LIBRARIES = ("pyvips", "simplejpeg")
PROGRAMS = ("imgsvc.serve", "imgsvc.cli", "storage_service.__main__", "transform_service.__main__")


def files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path.relative_to(ROOT) for path in sorted((ROOT / package).rglob("*.py")))


def module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def in_worker_room(name: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in WORKER_ROOMS)


OUTSIDE = [module(path) for path in files() if not in_worker_room(module(path))]


def test_no_module_outside_the_worker_rooms_loads_libvips() -> None:
    """All of them in one fresh process. The first that loads it may do so through another module."""
    code = f"""
import importlib, sys
for name in {OUTSIDE!r}:
    importlib.import_module(name)
    loaded = [library for library in {LIBRARIES!r} if library in sys.modules]
    assert not loaded, f"importing {{name}} loads {{loaded}}; the next test names the import to remove"
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_loads_libvips(program: str) -> None:
    code = f"import sys, {program}; print(*{{*{LIBRARIES!r}}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "", f"{program} loads this in the process that speaks HTTP"


def test_functions_outside_the_worker_rooms_do_not_import_libvips_either() -> None:
    """A lazy import would go unnoticed until the function runs."""
    found = [
        f"{path}:{node.lineno}"
        for path in files()
        if not in_worker_room(module(path))
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if any(in_worker_room(name) or name.split(".")[0] in LIBRARIES for name in imported(node))
    ]
    for_type_checkers = ["imaging/types.py:6"]
    culprits = ", ".join(sorted({*found} - {*for_type_checkers}))
    assert found == for_type_checkers, f"only worker processes may load libvips, so remove this import: {culprits}"


def test_only_tasks_name_libvips_or_the_worker_rooms_in_a_string() -> None:
    """`importlib.import_module("pyvips")` would go unnoticed too."""
    found = {
        str(path)
        for path in files()
        if not in_worker_room(module(path))
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if in_worker_room(node.value) or node.value.split(".")[0] in LIBRARIES
    }
    assert found == {"imaging/tasks.py", "transform_service/scheduling/renderers.py"}


def test_private_modules_are_imported_in_their_own_folder_only() -> None:
    for path in files():
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            for name in imported(node):
                folder, _, private = name.partition("._")
                if private and folder.split(".")[0] in PACKAGES:
                    assert ".".join(path.parts[:-1]) == folder, f"{path} imports {name}"


def imported(node: ast.AST) -> list[str]:
    """The modules, or names in modules, that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []
