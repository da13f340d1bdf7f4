"""The raw figures of a run, as they are kept in results.json."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

OURS, BARE, THUMBOR, IPX = "imgsvc", "libvips", "thumbor", "ipx"
SYSTEMS = (OURS, BARE, THUMBOR, IPX)
"""In the order of tables and plots."""
THUMB = "thumb=512"
CLIENTS = 8
"""Of the figures that are judged."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Cell(_Value):
    """One system doing one piece of work once."""

    system: str
    format: str
    chain: str
    clients: int
    round: int
    seconds: float
    good: int
    """Answers that were right: status, type, length."""
    failures: dict[str, int]
    latency_ms: tuple[float, float, float]
    """The 50th, 95th and 99th percentile."""
    cpu_ms: float
    """Processor time of the whole process tree, a good answer."""
    client_cpu_ms: float
    """Processor time that the load generator itself took, a good answer."""
    peak_rss: int
    """Bytes, summed over the process tree."""

    @property
    def goodput(self) -> float:
        """Right answers a second."""
        return self.good / self.seconds


class Score(_Value):
    """How true one thumbnail is."""

    system: str
    format: str
    photo: str
    ssimulacra2: float
    """Against a full decode that was downscaled with Lanczos 3; 100 is the same."""
    bytes: int


class Peak(_Value):
    """Memory at its highest, in bytes."""

    name: str
    bytes: int
    limit: int | None
    """None: shown and not judged."""


class Machine(_Value):
    """Where the figures are from."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    node: str


class PhotoSet(_Value):
    """The photos of one format."""

    format: str
    photos: int
    files: int
    median_megapixels: float
    most_megapixels: float
    mib: float


class Results(BaseModel):
    """All of one run."""

    date: str
    minutes: float = 0
    machine: Machine
    versions: dict[str, str]
    settings: dict[str, str] = {}
    photos: list[PhotoSet] = []
    cells: list[Cell] = []
    scores: list[Score] = []
    peaks: list[Peak] = []

    def formats(self) -> list[str]:
        """Those that were measured, in the order of measuring."""
        return [photos.format for photos in self.photos]

    def select(self, system: str, fmt: str, chain: str = THUMB, clients: int = CLIENTS) -> list[Cell]:
        """The repetitions of one measurement, by round; the bare loop has no clients and fits any number."""
        found = [
            cell
            for cell in self.cells
            if (cell.system, cell.format, cell.chain) == (system, fmt, chain) and cell.clients in {clients, 0}
        ]
        return sorted(found, key=lambda cell: cell.round)

    def scores_of(self, system: str, fmt: str) -> dict[str, Score]:
        """Fidelity by photo."""
        return {score.photo: score for score in self.scores if (score.system, score.format) == (system, fmt)}


def save(results: Results, path: Path) -> None:
    """Write them."""
    path.write_text(results.model_dump_json(indent=1) + "\n")


def load(path: Path) -> Results:
    """Read them."""
    return Results.model_validate_json(path.read_text())
