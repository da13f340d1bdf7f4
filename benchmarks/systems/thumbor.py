"""thumbor from PyPI: local files, one process per core, nothing stored, encoders set as ours.

Each process has its own port, and the clients are divided among them as by a load balancer. On the one socket that
`--processes` shares, the process that wakes first often takes all connections, and half of the machine is idle.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from benchmarks import photos, product
from benchmarks.peers import thumbor_venv
from benchmarks.photos import Photo
from benchmarks.systems.base import CORES, HttpSystem, thumb_side

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
    ports = CORES

    def version(self) -> str:
        """See System."""
        python = str(thumbor_venv() / "bin" / "python")
        return subprocess.run([python, "-c", _VERSIONS], capture_output=True, text=True, check=True).stdout.strip()

    def command(self, folder: Path, ports: list[int]) -> tuple[list[str], Mapping[str, object]]:
        """See HttpSystem."""
        qualities = {fmt: product.quality(fmt) for fmt in ("jpeg", "webp", "avif")}
        text = _CONFIGURATION.format(folder=str(photos.FOLDER), avif_speed=product.AVIF_SPEED, **qualities)
        (folder / "thumbor.conf").write_text(text)
        program = thumbor_venv() / "bin" / "thumbor"
        script = f'for port; do {program} --ip 127.0.0.1 --port "$port" --conf thumbor.conf & done; wait'
        return ["/bin/sh", "-c", script, "thumbor", *map(str, ports)], {}

    def path(self, photo: Photo, chain: str, output: str = "") -> str:
        """See HttpSystem."""
        side = thumb_side(chain)
        filters = f"filters:format({output})/" if output else ""
        return f"/unsafe/fit-in/{side}x{side}/{filters}{photo.filename}"
