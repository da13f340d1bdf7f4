"""Discovers plug-ins: imports every module of a package, so that each can register something."""

import importlib
import pkgutil
from types import ModuleType


def discover(package: ModuleType) -> None:
    """Import each module of `package`, in alphabetical order."""
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
