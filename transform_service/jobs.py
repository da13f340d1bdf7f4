"""Does jobs, when nobody else needs the cores."""

from service_kit.access import EVERYTHING
from service_kit.errors import BadRequest
from service_kit.jobs import LEVELS, Job
from transform_service.levels import LevelMaker
from transform_service.sources.base import Source


class Jobs:
    """See JobRunner."""

    def __init__(self, stored: Source, levels: LevelMaker) -> None:
        """`stored` is the source of stored images."""
        self._stored = stored
        self._levels = levels

    async def run(self, job: Job) -> None:
        """See JobRunner."""
        if job.kind != LEVELS:
            raise BadRequest(f"this version does not know the job {job.kind[:32]!r}")
        async with self._stored.open(job.image_id, EVERYTHING) as image:
            await self._levels.complete(image)
