"""Tasks name their functions by text, so a typing error or a moved module would only show in a worker."""

import inspect
import re
from importlib import import_module
from typing import Any

import pytest

from service_kit.processes.worker import Task
from tests.servers import PACKAGES, ROOT


def _tasks() -> dict[str, Task[Any]]:
    """Every constant of type Task in the product, by module and name."""
    found: dict[str, Task[Any]] = {}
    for file in (file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))):
        if names := re.findall(r"^(\w+)(?:: [\w.\[\]]+)? = Task\(", file.read_text(), re.MULTILINE):
            module = import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
            found |= {f"{module.__name__}.{name}": getattr(module, name) for name in names}
    return found


TASKS = _tasks()


def test_every_task_of_the_product_is_checked() -> None:
    uses = sum(file.read_text().count(" = Task(") for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    assert len(TASKS) == uses
    assert {"imaging.tasks.READ_HEADER", "transform_service.scheduling.renderers.RENDER"} <= set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_resolves_to_a_function(name: str) -> None:
    function = TASKS[name].resolve()
    assert inspect.isfunction(function)
    assert (function.__module__, function.__name__) == (TASKS[name].module, TASKS[name].function)
