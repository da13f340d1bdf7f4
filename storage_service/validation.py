"""Validates uploads: reads their headers in separate processes, since the bytes may be hostile."""

from imaging.formats import InputLimits
from imaging.header import Header
from imaging.tasks import LOCK_DOWN, READ_HEADER, READ_HEADER_BYTES, RELEASE_MEMORY
from service_kit.processes.pool import WorkerPool
from service_kit.processes.quarantine import Quarantine
from service_kit.processes.worker import Setup
from service_kit.spool import Spooled
from storage_service.settings import StorageSettings


class Validator:
    """The validator processes."""

    def __init__(self, settings: StorageSettings) -> None:
        self._limits = InputLimits(settings.max_pixels, settings.max_frames, settings.max_input_side)
        self._seconds = settings.validation_seconds
        setup = Setup(
            LOCK_DOWN, (READ_HEADER,), RELEASE_MEMORY, sandbox=settings.sandbox, most_memory=4 * READ_HEADER_BYTES
        )
        self._workers = WorkerPool(settings.validators, setup=setup, queue=settings.validation_queue)
        self._quarantine = Quarantine()

    async def start(self) -> None:
        """Start the validators."""
        await self._workers.start()

    async def close(self) -> None:
        """Stop the validators."""
        await self._workers.close()

    async def read_header(self, upload: Spooled) -> Header:
        """The header of an upload. Raises the errors of `read_header` (imaging.pixels), Quarantine and WorkerPool."""
        with self._quarantine.watch(upload.sha256), upload.path.open("rb", buffering=0) as file:
            header = await self._workers.run(
                READ_HEADER, file, self._limits, seconds=self._seconds, memory=READ_HEADER_BYTES
            )
        header.check(self._limits)  # again: a decoder that was taken over may say anything
        return header
