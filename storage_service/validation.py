"""From a file to the facts in its header, or to the error that says why it is no image we take."""

from pathlib import Path

from service_kit.images import Header
from service_kit.quarantine import Quarantine
from service_kit.spool import Spooled
from service_kit.worker import Hooks
from service_kit.worker_pool import WorkerPool
from storage_service.settings import StorageSettings

PRELOAD = "service_kit.vips"
"""What the fork server imports for these workers."""


class Validator:
    """Reads headers in worker processes: the bytes are a stranger's."""

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._workers = WorkerPool(settings.validators, hooks=Hooks(_initialize), queue=settings.validation_queue)
        self._quarantine = Quarantine()

    async def start(self) -> None:
        """Start the workers."""
        await self._workers.start()

    async def close(self) -> None:
        """End the workers."""
        await self._workers.close()

    async def read_header(self, upload: Spooled) -> Header:
        """See service_kit.vips.read_header, and service_kit.quarantine for an upload that crashes it."""
        settings = self._settings
        with self._quarantine.watch(upload.sha256):
            return await self._workers.run(
                _read_header, upload.path, settings.max_pixels, settings.max_frames, seconds=settings.validation_seconds
            )


def _initialize() -> None:
    from service_kit import vips  # noqa: PLC0415  # libvips is loaded in workers only

    vips.lock_down()


def _read_header(path: Path, max_pixels: int, max_frames: int) -> Header:
    from service_kit import vips  # noqa: PLC0415

    return vips.read_header(path, max_pixels, max_frames)
