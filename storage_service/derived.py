"""All that is derived from images: their levels, their stored variants, and the jobs that make these."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from imaging.levels import Level
from imaging.locator import NewVariant, Variant
from service_kit.errors import Unavailable
from service_kit.spool import Spooled
from storage_service.derivatives import Row
from storage_service.jobs import Jobs, job_for_upload
from storage_service.levels import Levels
from storage_service.looks import Looks
from storage_service.metadata.base import ImageRecord, Statement
from storage_service.precomputed import Precomputed
from storage_service.variants import Variants

_ROW = "name, bytes, digest, about, used_at"
_ROWS = f"""
    SELECT 'levels', {_ROW} FROM levels WHERE sha256 = $1 AND version = $2
    UNION ALL SELECT 'variants', {_ROW} FROM variants WHERE sha256 = $1 AND version = $3
    UNION ALL SELECT 'looks', '', 0, '', '', 0 FROM looks WHERE sha256 = $1
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Known:
    """What there is of an image. Levels and variants are None where none are kept."""

    levels: tuple[Level, ...] | None
    variants: tuple[Variant, ...] | None
    chains: tuple[str, ...]
    """The chains that are precomputed."""
    has_look: bool


@dataclass(frozen=True, slots=True)
class Derived:
    """What is derived from images."""

    levels: Levels
    variants: Variants
    precomputed: Precomputed
    jobs: Jobs
    looks: Looks

    async def of(self, record: ImageRecord) -> Known:
        """What there is of an image, as it was some seconds ago."""
        chains = await self.precomputed.lately() if self.variants.limit else ()
        rows = await self._rows(record.sha256)
        levels = await self.levels.of(record, rows["levels"])
        return Known(levels, self.variants.of(rows["variants"], chains), chains, bool(rows["looks"]))

    async def _rows(self, sha256: str) -> Mapping[str, Sequence[Row]]:
        """What there is of a content, by table, in one query: a render waits for it."""
        rows: defaultdict[str, list[Row]] = defaultdict(list)
        for table, *row in await self.levels.metadata.fetch(_ROWS, sha256, self.levels.version, self.variants.version):
            rows[table].append(Row(*row))
        return rows

    def job_for(self, record: ImageRecord) -> Statement:
        """The statement that adds the job for an upload."""
        return job_for_upload(record.sha256, record.created_at)

    async def variant_url(self, key: str) -> str:
        """A signed URL of a stored variant. Raises Unavailable if there is none."""
        url = await self.variants.url(key)
        if url is None:
            raise Unavailable("this blob store signs no URLs")
        return url

    async def keep_variant(self, record: ImageRecord, variant: NewVariant, upload: Spooled) -> None:
        """Store a variant if it is `hot` or its chain is still precomputed. Raises the errors of Variants.keep."""
        if variant.hot or variant.chain in await self.precomputed.chains():
            await self.variants.keep(record, variant.key, upload, variant.chain)

    def make_room(self) -> None:
        """Let the least used ones give way: the disk is full."""
        self.levels.make_room()
        self.variants.make_room()

    async def forget(self, sha256: str) -> None:
        """Remove all that was derived from a content, since no image has it any more."""
        await self.levels.forget(sha256)
        await self.variants.forget(sha256)
        await self.looks.forget(sha256)
        await self.jobs.forget(sha256)

    async def sweep(self, grace: timedelta) -> None:
        """Remove what belongs to no image and is older than `grace`."""
        await self.levels.sweep(grace)
        await self.variants.sweep(grace)
        await self.jobs.sweep()
