"""Discovery: importing every module of a package, so that what they register is known."""

import importlib
import pkgutil
from types import ModuleType


def discover(package: ModuleType) -> None:
    """Import each module of `package`; a module registers its classes when it is imported."""
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
