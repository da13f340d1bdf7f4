"""How people call the command line."""

import shlex
import shutil
import sys
from pathlib import Path

_CONTAINER = Path("/.dockerenv")


def imgsvc() -> str:
    """What to type for `imgsvc` where this program was started: the command next to its interpreter, if any."""
    script = Path(sys.executable).with_name("imgsvc")
    if not script.exists():
        return (
            "docker compose run --rm --no-deps storage python -m imgsvc" if _CONTAINER.exists() else "python -m imgsvc"
        )
    found = shutil.which("imgsvc")
    if found and script.samefile(found):
        return "imgsvc"
    folder = Path.cwd()
    return shlex.quote(str(script.relative_to(folder) if script.is_relative_to(folder) else script))
