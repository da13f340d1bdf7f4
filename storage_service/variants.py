"""Variants in the blob store: results that were rendered before anyone asked, or more than once (docs/adr/0070)."""

import re
from collections.abc import Mapping, Sequence

from imaging.encoding import VERSION
from imaging.locator import Variant
from service_kit.errors import BadRequest
from service_kit.spool import Spooled
from service_kit.usage import LONGEST_CHAIN
from storage_service.blobs import Blobs
from storage_service.derivatives import Derivatives
from storage_service.metadata.base import ImageRecord, MetadataStore
from storage_service.metrics import VARIANT_BYTES, VARIANT_LIMIT

_KEY = re.compile("[0-9a-f]{64}")
_MOST = 32
"""Variants of an image that the transform service is told of, last used first. Each is a few hundred bytes."""


class Variants(Derivatives):
    """The stored variants of all contents. Each is named by the key of its plan, and so is its file."""

    table, what, setting = "variants", "variant", "VARIANT_BYTES"

    def __init__(self, metadata: MetadataStore, blobs: Blobs, limit: int) -> None:
        super().__init__(metadata, blobs, limit, (VARIANT_BYTES, VARIANT_LIMIT))
        self._blobs = blobs.below(self.table)

    @property
    def version(self) -> int:
        """See Derivatives."""
        return VERSION

    def stored(self) -> Mapping[str, Blobs]:
        """See Derivatives."""
        return {self.table: self._blobs}

    def place(self, sha256: str, name: str) -> tuple[Blobs, str] | None:
        """See Derivatives."""
        return (self._blobs, name) if _KEY.fullmatch(name) else None

    async def known(self, folder: str, files: Sequence[str]) -> set[str]:
        """See Derivatives."""
        return await self.with_rows("name", files)

    async def of(self, record: ImageRecord) -> tuple[Variant, ...] | None:
        """The variants of an image; None if none are kept."""
        if not self.limit:
            return None
        return tuple([Variant(key=row.name, **place) for row, place in await self.placed(record.sha256, _MOST)])

    async def keep(self, record: ImageRecord, key: str, upload: Spooled, chain: str) -> None:
        """Store the result of the plan with this key. Raises the errors of `store`."""
        if not 0 < len(chain) <= LONGEST_CHAIN:
            raise BadRequest(f"the chain is empty or longer than {LONGEST_CHAIN} characters")
        await self.store(record, key, upload, chain)
