"""The raw figures of a run, as results.json keeps them."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

OURS, BARE, THUMBOR, IPX = "imgsvc", "libvips", "thumbor", "ipx"
BEFORE = "before"
"""An earlier version of imgsvc (`--before`). It is compared, and not published."""
SYSTEMS = (OURS, BARE, THUMBOR, IPX)
"""In the order of tables and plots."""
THUMB = "thumb=512"
CLIENTS = 8
"""The number of clients whose figures are judged."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Cell(_Value):
    """One system doing one piece of work once."""

    system: str
    format: str
    chain: str
    clients: int
    """0 for the bare loop."""
    round: int
    seconds: float
    good: int
    """Answers with the right status, type and length."""
    failures: dict[str, int]
    latency_ms: tuple[float, float, float]
    """The 50th, 95th and 99th percentile."""
    cpu_ms: float
    """Processor time of all processes per good answer."""
    client_cpu_ms: float
    """Processor time of the load generator per good answer."""
    peak_rss: int
    """Bytes, summed over all processes."""

    @property
    def goodput(self) -> float:
        """Right answers per second."""
        return self.good / self.seconds


class Score(_Value):
    """The fidelity of one thumbnail, against a full decode scaled with Lanczos 3; 100 is identical."""

    system: str
    format: str
    photo: str
    ssimulacra2: float
    bytes: int


class Peak(_Value):
    """Peak memory in bytes. Without a limit it is not judged."""

    name: str
    bytes: int
    limit: int | None


class Machine(_Value):
    """What figures depend on, and nothing that names the machine."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    node: str

    @classmethod
    def this(cls) -> Self:
        """The machine of this process."""
        model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        node = shutil.which("node")
        return cls(
            processor=model[1] if model else platform.machine(),
            cores=len(os.sched_getaffinity(0)),
            memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1),
            system=f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release().partition('-')[0]}",
            python=platform.python_version(),
            node=subprocess.check_output([node, "--version"], text=True).strip() if node else "",
        )


class PhotoSet(_Value):
    """The photos of one format."""

    format: str
    photos: int
    files: int
    median_megapixels: float
    most_megapixels: float
    mib: float


class Results(BaseModel):
    """Everything of one run."""

    date: str
    minutes: float = 0
    machine: Machine
    versions: dict[str, str] = {}
    settings: dict[str, str] = {}
    photos: list[PhotoSet] = []
    cells: list[Cell] = []
    scores: list[Score] = []
    peaks: list[Peak] = []

    def formats(self) -> list[str]:
        """The formats that were measured, in order."""
        return [photos.format for photos in self.photos]

    def select(self, system: str, fmt: str, chain: str = THUMB, clients: int = CLIENTS) -> list[Cell]:
        """The rounds of one measurement. The bare loop has no clients and fits any number."""
        wanted = (system, fmt, chain)
        cells = [cell for cell in self.cells if (cell.system, cell.format, cell.chain) == wanted]
        return sorted((cell for cell in cells if cell.clients in {clients, 0}), key=lambda cell: cell.round)

    def goodputs(self, system: str, fmt: str, clients: int = CLIENTS) -> list[float]:
        """Right answers per second of each round of thumbnails."""
        return [cell.goodput for cell in self.select(system, fmt, clients=clients)]

    def scores_of(self, system: str, fmt: str) -> dict[str, Score]:
        """Fidelity by photo."""
        return {score.photo: score for score in self.scores if (score.system, score.format) == (system, fmt)}
