"""What a run was made on."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.results import Machine
from benchmarks.systems.base import CORES


def describe() -> Machine:
    """Tell of this machine what figures depend on, and nothing that names it."""
    return Machine(
        processor=_processor(),
        cores=CORES,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1),
        system=f"{_distribution()}, Linux {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        node=_node(),
    )


def _processor() -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1] if match else platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _node() -> str:
    node = shutil.which("node")
    return (
        subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip() if node else ""
    )
