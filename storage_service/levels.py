"""Levels in the blob store: smaller copies of contents, from which renders start (docs/adr/0067)."""

from collections.abc import Mapping, Sequence

from imaging.header import Header
from imaging.levels import SIDES, VERSION, Level, formats_of, sizes
from service_kit.errors import BadRequest
from service_kit.spool import Spooled
from storage_service.blobs import Blobs
from storage_service.derivatives import URL_LIFETIME, Derivatives, Row
from storage_service.metadata.base import ImageRecord, MetadataStore
from storage_service.metrics import LEVEL_BYTES, LEVEL_LIMIT


class Levels(Derivatives):
    """The levels of all contents. Each is named by its side, in a folder by side, where files are named by content."""

    table, what, setting = "levels", "level", "LEVEL_BYTES"

    def __init__(self, metadata: MetadataStore, blobs: Blobs, limit: int) -> None:
        super().__init__(metadata, blobs, limit, (LEVEL_BYTES, LEVEL_LIMIT))
        self._blobs = {str(side): blobs.below(f"{self.table}/{side}") for side in SIDES}

    @property
    def version(self) -> int:
        """See Derivatives."""
        return VERSION

    def stored(self) -> Mapping[str, Blobs]:
        """See Derivatives."""
        return self._blobs

    def place(self, sha256: str, name: str) -> tuple[Blobs, str] | None:
        """See Derivatives."""
        return (self._blobs[name], sha256) if name in self._blobs else None

    async def known(self, folder: str, files: Sequence[str]) -> set[str]:
        """See Derivatives."""
        return await self.with_rows("sha256", files, " AND name = $1", folder)

    def are_wanted(self, header: Header) -> bool:
        """Whether an image with this header gets levels."""
        return bool(self.limit and sizes(header))

    async def of(self, record: ImageRecord, rows: Sequence[Row]) -> tuple[Level, ...] | None:
        """The levels of an image, by the rows of its content, smallest first; None if none are kept."""
        if not self.limit:
            return None
        if not sizes(record.header):
            return ()
        rows = [row for row in rows if row.name in self._blobs]
        await self.note_use_of(record.sha256, rows)
        found = [await self._level(record.sha256, row) for row in rows]
        return tuple(sorted(found, key=lambda level: level.side))

    async def _level(self, sha256: str, row: Row) -> Level:
        blobs = self._blobs[row.name]
        path = blobs.path(sha256)
        return Level(
            side=int(row.name),
            header=Header.model_validate_json(row.about),
            bytes=row.bytes,
            sha256=row.digest,
            path=path,
            url=None if path else await blobs.presigned_url(sha256, URL_LIFETIME),
        )

    async def keep(self, record: ImageRecord, side: int, upload: Spooled, header: Header) -> None:
        """Store a level of an image. `header` is its own.

        Raises the errors of `store`, and BadRequest if the file is not that level.
        """
        _check(record, side, header)
        await self.store(record, str(side), upload, header.model_dump_json())


def _check(record: ImageRecord, side: int, header: Header) -> None:
    size = sizes(record.header).get(side)
    formats = formats_of(record.header)
    if size is None:
        raise BadRequest(f"the image {record.image_id} has no level of {side} pixels")
    if (header.size, header.frames, header.orientation) != (size, 1, 1) or header.image_format not in formats:
        allowed = " or ".join(each.name.upper() for each in formats)
        raise BadRequest(f"the level of {side} pixels is not {size} pixels in {allowed}, upright")
