"""Variants in the blob store: results that were rendered before anyone asked, or more than once (docs/adr/0070)."""

import re
import time
from collections.abc import Collection, Mapping, Sequence

from imaging.encoding import VERSION
from imaging.locator import Variant
from service_kit.errors import BadRequest
from service_kit.spool import Spooled
from service_kit.usage import LONGEST_CHAIN
from storage_service.blobs import Blobs
from storage_service.derivatives import URL_LIFETIME, Derivatives, Row
from storage_service.metadata.base import ImageRecord, MetadataStore
from storage_service.metrics import VARIANT_BYTES, VARIANT_LIMIT
from storage_service.precomputed import MOST_CHAINS

_KEY = re.compile("[0-9a-f]{64}")
_MOST = MOST_CHAINS + 24
"""Variants of an image that the transform service is told of: all that are precomputed, and those used last."""


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

    def of(self, rows: Sequence[Row], precomputed: Collection[str]) -> tuple[Variant, ...] | None:
        """The variants in these rows, those of precomputed chains first, then last used; None if none are kept."""
        if not self.limit:
            return None
        return tuple(
            Variant(key=row.name, bytes=row.bytes, sha256=row.digest, path=self._blobs.path(row.name))
            for row in _in_order(rows, precomputed)
        )

    async def listed(self, sha256: str, precomputed: Collection[str]) -> Sequence[Row]:
        """The rows that `of` would use for a content, at most one per chain, in the same order."""
        if not self.limit:
            return ()
        by_chain: dict[str, Row] = {}
        for row in _in_order(await self.rows(sha256), precomputed):
            by_chain.setdefault(row.about, row)
        return tuple(by_chain.values())

    async def url(self, key: str) -> str | None:
        """A signed URL of the variant with this key; None if the store signs none."""
        return await self._blobs.presigned_url(key, URL_LIFETIME)

    async def note_use(self, keys: Sequence[str]) -> None:
        """Note that variants were used."""
        if keys:
            marks = ", ".join(f"${n + 2}" for n in range(len(keys)))
            query = f"UPDATE variants SET used_at = $1 WHERE name IN ({marks})"  # noqa: S608
            await self.metadata.change(query, int(time.time()), *keys)

    async def keep(self, record: ImageRecord, key: str, upload: Spooled, chain: str) -> None:
        """Store the result of the plan with this key. Raises the errors of `store`."""
        if not 0 < len(chain) <= LONGEST_CHAIN:
            raise BadRequest(f"the chain is empty or longer than {LONGEST_CHAIN} characters")
        await self.store(record, key, upload, chain)


def _in_order(rows: Sequence[Row], precomputed: Collection[str]) -> list[Row]:
    """The first `_MOST` rows: precomputed chains first, then the most recently used."""
    return sorted(rows, key=lambda row: (row.about not in precomputed, -row.used_at, row.name))[:_MOST]
