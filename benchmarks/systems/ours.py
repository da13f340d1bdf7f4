"""imgsvc as `make run` starts it, without its result cache and without levels: every request renders the original."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from benchmarks import product
from benchmarks.photos import Photo
from benchmarks.results import OURS
from benchmarks.systems.base import HttpSystem, SystemFailed
from measuring.client import ask
from measuring.servers import imgsvc


class Ours(HttpSystem):
    """The service under test, or an earlier version of it."""

    def __init__(self, environment: Mapping[str, str] | None = None, name: str = OURS) -> None:
        self.name = name
        self._environment = {"RESULT_CACHE_BYTES": "0", "LEVEL_BYTES": "0", "VARIANT_BYTES": "0", **(environment or {})}

    def version(self) -> str:
        """See System."""
        return product.VERSION

    @contextmanager
    def started(self, folder: Path) -> Iterator[None]:
        """See System."""
        self._ids: dict[Path, str] = {}
        with imgsvc(folder, **self._environment) as service:
            self.serves([service.url], service.process)
            yield

    def prepare(self, photos: Sequence[Photo]) -> None:
        """Upload what is not there yet."""
        for photo in photos:
            if photo.path not in self._ids:
                self._ids[photo.path] = self._upload(photo)

    def _upload(self, photo: Photo) -> str:
        headers = {"Content-Type": f"image/{photo.format}"}
        answer = ask(f"{self.urls[0]}/v1/images", "POST", data=photo.path.read_bytes(), headers=headers)
        if answer.status != HTTPStatus.CREATED:
            raise SystemFailed(f"imgsvc did not accept {photo.filename}{answer}")
        return str(json.loads(answer.body)["image_id"])

    def path(self, photo: Photo, chain: str, output: str = "") -> str:
        """See HttpSystem."""
        extension = f".{product.EXTENSIONS[output]}" if output else ""
        return f"/v1/images/{self._ids[photo.path]}{extension}?{chain}"
