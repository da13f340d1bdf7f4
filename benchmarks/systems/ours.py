"""imgsvc, as `make run` starts it, with its result cache off."""

import http.client
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyvips

from benchmarks.photos import CONTENT_TYPES, Photo
from benchmarks.systems.base import ROOT, SystemFailed
from benchmarks.systems.server import START_SECONDS, HttpSystem
from imgsvc import __version__

_CREATED = 201
_UNCACHED = {"RESULT_CACHE_BYTES": "0"}


class Ours(HttpSystem):
    """The service under test."""

    name = "imgsvc"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._environment = {**_UNCACHED, **(environment or {})}
        self._ids: dict[Path, str] = {}

    def version(self) -> str:
        """See System."""
        return f"imgsvc {__version__}, libvips {'.'.join(str(pyvips.version(part)) for part in range(3))}"

    def start(self, folder: Path) -> None:
        """See System."""
        places = {"DATA_DIR": str(folder / "data"), "SPOOL_DIR": str(folder / "spool")}
        surroundings = {"PORT": "0", "HOST": "127.0.0.1", "PYTHONPATH": str(ROOT), "LOG_LEVEL": "WARNING"}
        self.launch([sys.executable, "-m", "imgsvc", "serve"], folder, {**surroundings, **places, **self._environment})
        self.port = self._announced_port()

    def _announced_port(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if match := re.search(r" on http://\S+:(\d+)", self.output()):
                return int(match[1])
            time.sleep(0.05)
        raise SystemFailed("imgsvc did not say where it listens")

    def prepare(self, photos: Sequence[Photo]) -> None:
        """Upload what is not there yet."""
        for photo in photos:
            if photo.path not in self._ids:
                self._ids[photo.path] = self._upload(photo)

    def _upload(self, photo: Photo) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with photo.path.open("rb") as body:
            connection.request("POST", "/v1/images", body, {"Content-Type": CONTENT_TYPES[photo.format]})
            answer = connection.getresponse()
            text = answer.read()
        connection.close()
        if answer.status != _CREATED:
            raise SystemFailed(f"imgsvc took no {photo.filename}: {answer.status} {text[:300]!r}")
        return str(json.loads(text)["image_id"])

    def path(self, photo: Photo, chain: str) -> str:
        """See HttpSystem; the output has the input's format."""
        return f"/v1/images/{self._ids[photo.path]}?{chain}"
