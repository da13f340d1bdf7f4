"""thumbor from PyPI: local files, a process a core, nothing stored, encoders set to what ours are told.

Each process has a port of its own, and the clients are shared out among them as by a balancer: on the one socket that
`--processes` shares, whoever wakes first often takes all connections, and half of the machine has nothing to do.
"""

import subprocess
from pathlib import Path

from benchmarks.peers import thumbor_venv
from benchmarks.photos import Photo
from benchmarks.systems.base import CORES, thumb_side
from benchmarks.systems.encoders import AVIF_SPEED, quality
from benchmarks.systems.server import HttpSystem, free_port

_CONFIGURATION = """\
LOADER = "thumbor.loaders.file_loader"
FILE_LOADER_ROOT_PATH = {folder!r}
STORAGE = "thumbor.storages.no_storage"
RESULT_STORAGE = None
ALLOW_UNSAFE_URL = True
QUALITY = {jpeg}
WEBP_QUALITY = {webp}
AVIF_QUALITY = {avif}
AVIF_SPEED = {avif_speed}
PROGRESSIVE_JPEG = True
RESPECT_ORIENTATION = True
"""
_VERSIONS = 'from importlib.metadata import version as v; print(f\'thumbor {v("thumbor")}, Pillow {v("pillow")}\')'


class Thumbor(HttpSystem):
    """thumbor with Pillow, its default engine."""

    name = "thumbor"

    def __init__(self, photos: Path) -> None:
        super().__init__()
        self._photos = photos

    def version(self) -> str:
        """See System."""
        python = str(thumbor_venv() / "bin" / "python")
        return subprocess.run([python, "-c", _VERSIONS], capture_output=True, text=True, check=True).stdout.strip()

    def start(self, folder: Path) -> None:
        """See System."""
        settings = {fmt: quality(fmt) for fmt in ("jpeg", "webp", "avif")}
        text = _CONFIGURATION.format(folder=str(self._photos), avif_speed=AVIF_SPEED, **settings)
        (folder / "thumbor.conf").write_text(text)
        ports = [free_port() for _ in range(CORES)]
        self.port, self.more_ports = ports[0], ports[1:]
        program = str(thumbor_venv() / "bin" / "thumbor")
        command = f'for port; do {program} --ip 127.0.0.1 --port "$port" --conf thumbor.conf & done; wait'
        self.launch(["/bin/sh", "-c", command, "thumbor", *map(str, ports)], folder, {})
        self.wait_for_port()

    def path(self, photo: Photo, chain: str) -> str:
        """See HttpSystem."""
        side = thumb_side(chain)
        return f"/unsafe/fit-in/{side}x{side}/{photo.filename}"
