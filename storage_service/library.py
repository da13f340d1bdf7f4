"""The use cases of image storage: add, find, list, read, locate, delete, sweep."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from imaging.locator import Located, NewVariant, explain_missing
from imaging.looks import Look
from service_kit.access import DEFAULT_SPACE, EVERYTHING, Identity, Visibility
from service_kit.errors import (
    BadRequest,
    ContentLost,
    Forbidden,
    Gone,
    Hidden,
    InsufficientStorage,
    NotFound,
    ServiceError,
    TooManyRequests,
    Unavailable,
    UnsupportedImage,
)
from service_kit.ids import checked_image_id, new_image_id
from service_kit.observing import spans
from service_kit.spool import Spooled
from storage_service import repeats
from storage_service.audit import Action, AuditTrail
from storage_service.blobs import BlobMissing, Blobs
from storage_service.derived import Derived
from storage_service.events import Events, EventType
from storage_service.metadata.base import ImageRecord, Labels, MetadataStore, PendingPurge, Position
from storage_service.purging import Purger, first_round
from storage_service.search import Filters, Page, search
from storage_service.terms import added_terms, forget_deleted
from storage_service.usage import Usage
from storage_service.validation import Validator

_URL_LIFETIME = timedelta(minutes=10)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an upload will be, who may see it, and which formats it may have (all if there are none)."""

    key_id: str
    space: str
    visibility: str
    formats: Collection[str] = ()
    repeat: str = ""
    """Names the upload, which may be sent again; empty: it has no name."""


NO_LABELS = Labels()
NOBODY = Owner("", DEFAULT_SPACE, Visibility.PUBLIC)
"""The owner of public images where nobody needs a key."""


class Library:
    """All images: records in a metadata store, each with a blob. There is never a record without a blob."""

    def __init__(
        self,
        metadata: MetadataStore,
        blobs: Blobs,
        validator: Validator,
        purger: Purger,
        audit: AuditTrail,
        *,
        derived: Derived,
        usage: Usage,
        events: Events,
    ) -> None:
        self._metadata = metadata
        self._events = events
        self._blobs = blobs
        self._derived = derived
        self._usage = usage
        self._validator = validator
        self._purger = purger
        self._audit = audit
        self._repeats = repeats.Repeats(metadata)

    async def admit(self, owner: Owner) -> None:
        """Count an upload that is about to be received. Raises TooManyRequests if its space allows no more now."""
        if owner.space == DEFAULT_SPACE and not owner.key_id:
            return
        now = time.time()
        if not await self._metadata.count_upload(owner.space, int(now // 60)):
            error = TooManyRequests(f"the space {owner.space!r} has had its uploads for this minute; retry later")
            error.retry_after = 60 - int(now % 60)
            raise error

    async def add(self, upload: Spooled, owner: Owner = NOBODY, labels: Labels = NO_LABELS) -> ImageRecord:
        """Store an upload. Its blob and its record are durable when this returns.

        Raises UnsupportedImage if its format is not one of the owner's, and Forbidden if the quotas of the space do not
        allow it.

        An upload that is sent again is the same image. Raises BadRequest if it has another file than before.
        """
        if known := await self._repeated(owner, upload):
            return known
        try:
            return await self._add(upload, owner, labels)
        except Unavailable:
            if known := await self._repeated(owner, upload):  # the same upload has arrived twice at once
                return known
            raise

    async def _add(self, upload: Spooled, owner: Owner, labels: Labels) -> ImageRecord:
        """See `add`.

        The blob comes first. If the record then fails, a blob without a record stays. That is harmless: the next upload
        of the same bytes uses it, or the sweeper removes it.
        """
        with spans.during("check"):
            header = await self._validator.read_header(upload)
        if owner.formats and header.format not in owner.formats:
            raise UnsupportedImage(f"the image is {header.format}; the upload token allows {', '.join(owner.formats)}")
        record = ImageRecord(
            **header.model_dump(),
            **labels.model_dump(),
            image_id=new_image_id(),
            bytes=upload.bytes,
            sha256=upload.sha256,
            visibility=owner.visibility,
            space=owner.space,
            created_at=datetime.now(UTC),
        )
        entry = self._audit.entry(owner.key_id, Action.UPLOAD, record.image_id, owner.space)
        also = [*added_terms(record), self._derived.job_for(record)]
        if owner.repeat:
            also += self._repeats.added(owner.repeat, record.image_id)
        also += await self._events.about(EventType.CREATED, record)
        with spans.during("record"):
            async with self._metadata.lock_content(upload.sha256) as content:
                spans.lap("record")
                with spans.during("blob"):
                    damaged = await content.is_damaged()
                    if damaged or not (known := await self._blobs.is_durable(upload.sha256, upload.bytes)):
                        await self._store(upload)
                # In this order: a deletion locks rows of images before that of the space, too.
                if damaged:
                    await content.mend()
                try:
                    await content.add(record, entry, also)
                except (InsufficientStorage, Forbidden):
                    if not damaged and not known:
                        await self._blobs.delete(upload.sha256)  # it would fill the disk further
                    raise
        self._events.added()
        return record

    async def _repeated(self, owner: Owner, upload: Spooled) -> ImageRecord | None:
        """The image of the same upload, if it has arrived before. Raises BadRequest if that had another file."""
        image_id = await self._repeats.image_id(owner.repeat) if owner.repeat else None
        if image_id is None:
            return None
        record = await self.find(image_id)
        if record.sha256 != upload.sha256:
            raise BadRequest(f"the {repeats.HEADER} belongs to the upload of another file; use a new one for each file")
        return record

    async def _store(self, upload: Spooled) -> None:
        try:
            await self._blobs.add(upload.sha256, upload.path)
        except InsufficientStorage:
            self._derived.make_room()
            raise

    async def find(self, image_id: str, space: str | None = None) -> ImageRecord:
        """The record of an image. Raises BadRequest for a malformed ID, NotFound, or Gone if it was deleted or expired.

        Unless `space` is None, images of other spaces do not exist.
        """
        record = await self._find(image_id, space)
        if record.expires_at and record.expires_at <= datetime.now(UTC):
            raise Gone(f"the image {image_id} has expired")
        return record

    async def _find(self, image_id: str, space: str | None) -> ImageRecord:
        record = await self._metadata.find(checked_image_id(image_id))
        if record is None:
            raise NotFound(f"the image {image_id} does not exist")
        if space not in {None, record.space}:
            raise Hidden(f"the image {image_id} does not exist")
        if record.deleted_at:
            raise Gone(f"the image {image_id} was deleted")
        return record

    async def find_whole(self, image_id: str) -> ImageRecord:
        """Like `find`. Also raises ContentLost if a scrub found the image damaged."""
        record = await self.find(image_id)
        if record.damaged_at:
            raise ContentLost(f"the bytes of image {image_id} are damaged; upload the same file again to restore them")
        return record

    async def search(self, filters: Filters, limit: int, after: Position | None) -> Page:
        """A page of images, newest first, after the position `after`."""
        return await search(self._metadata, filters, limit, after)

    async def read(self, record: ImageRecord, part: range) -> AsyncIterator[memoryview]:
        """The bytes of `part` of the original, in chunks.

        If the blob is missing or incomplete, raises Gone if the image was just deleted, otherwise ContentLost. Also
        raises ContentLost if a blob store sends other bytes than were uploaded.
        """
        try:
            return await self._blobs.open(record.sha256, record.bytes, part)
        except BlobMissing:
            await explain_missing(record.image_id, self.find)

    async def file_key(self, record: ImageRecord) -> str | None:
        """The path of the original below the root of the blobs; None if it is not a file, or incomplete."""
        is_file = self._blobs.path(record.sha256) and await self._blobs.exists(record.sha256, record.bytes)
        return self._blobs.key(record.sha256) if is_file else None

    async def locate(self, image_id: str, fallback_url: str) -> Located:
        """The header of an image and where its bytes are: a file, a presigned URL, or else `fallback_url`.

        Raises the errors of `find_whole`.
        """
        record = await self.find_whole(image_id)
        known = await self._derived.of(record)
        pending = record.visibility == Visibility.PENDING
        path = self._blobs.path(record.sha256)
        url = None if path else await self._blobs.presigned_url(record.sha256, _URL_LIFETIME) or fallback_url
        return Located(
            image_id=image_id,
            sha256=record.sha256,
            bytes=record.bytes,
            header=record.header,
            path=path,
            url=url,
            visibility=Visibility.PRIVATE if pending else record.visibility,
            pending=pending,
            space=record.space,
            levels=known.levels,
            variants=known.variants,
            precomputed=known.chains,
            has_look=known.has_look,
            focus=None if record.focus_x is None or record.focus_y is None else (record.focus_x, record.focus_y),
            expires_at=record.expires_at,
        )

    async def keep_look(self, image_id: str, look: Look) -> None:
        """Keep what an image looks like. Raises the errors of `find`."""
        await self._derived.looks.keep((await self.find(image_id)).sha256, look)

    async def keep_level(self, image_id: str, side: int, upload: Spooled) -> None:
        """Store a level of an image. Raises the errors of `find_whole`, of Validator, and of Levels.keep."""
        record = await self.find_whole(image_id)
        await self._derived.levels.keep(record, side, upload, await self._validator.read_header(upload))

    async def drop_level(self, image_id: str, side: int, digest: str) -> None:
        """Remove the level with this digest, which is lost or damaged. Raises the errors of `find`."""
        await self._derived.levels.drop((await self.find(image_id)).sha256, str(side), digest)

    async def variant_url(self, image_id: str, key: str) -> str:
        """A signed URL of a stored variant. Raises the errors of `find_whole`, and Unavailable if there is none."""
        await self.find_whole(image_id)
        return await self._derived.variant_url(key)

    async def keep_variant(self, image_id: str, variant: NewVariant, upload: Spooled) -> None:
        """Store a variant of an image if it is `hot` or its chain is still precomputed.

        Raises the errors of `find_whole` and of Variants.keep.
        """
        await self._derived.keep_variant(await self.find_whole(image_id), variant, upload)

    async def note_variants(self, keys: Sequence[str]) -> None:
        """Note that variants were used."""
        await self._derived.variants.note_use(keys)

    async def drop_variant(self, image_id: str, key: str, digest: str) -> None:
        """Remove the variant with this digest, which is lost or damaged. Raises the errors of `find`."""
        await self._derived.variants.drop((await self.find(image_id)).sha256, key, digest)

    async def delete(self, image_id: str, by: Identity = EVERYTHING) -> None:
        """Delete an image, also from caches. Removes its blob too, unless another image has the same bytes."""
        record, now = await self._find(image_id, by.space), datetime.now(UTC)
        entry = self._audit.entry(by.key_id, Action.DELETE, image_id, record.space)
        events = await self._events.about(EventType.DELETED, record)
        try:
            if not await self._metadata.mark_deleted(image_id, now, first_round(now), entry, events):
                raise Gone(f"the image {image_id} was deleted")
        except asyncio.CancelledError:  # the client hung up, but the deletion may have been committed
            self._purger.look_soon()
            raise
        self._events.added()
        await self._purger.announce(PendingPurge(image_id, record.sha256, now))
        try:
            await self._sweep(record.sha256)
            await self._usage.forget(image_id)
        except ServiceError as error:  # the image is deleted anyway, and the next sweep removes its blob
            logger.warning("traces of the deleted image %s stay until the next sweep: %s", image_id, error)

    async def sweep(self, grace: timedelta) -> int:
        """Remove blobs that no image uses and that are older than `grace`. Returns their number."""
        removed = 0
        async for batch in self._blobs.list_older(datetime.now(UTC) - grace):
            for sha256 in set(batch) - await self._metadata.used_contents(batch):
                removed += await self._sweep(sha256)
        await self._derived.sweep(grace)
        await self._usage.sweep()
        await self._repeats.sweep()
        await forget_deleted(self._metadata)
        return removed

    async def _sweep(self, sha256: str) -> bool:
        """Remove a blob unless an image uses it. Checks again under the lock, since an upload may be in progress."""
        async with self._metadata.lock_content(sha256) as content:
            if await content.is_used():
                return False
            await self._blobs.delete(sha256)
            await self._derived.forget(sha256)
        return True
