"""The chains that are rendered before anyone asks: for each upload, and for all earlier images (docs/adr/0070)."""

import time
from dataclasses import dataclass

from imaging.encoding import VERSION
from storage_service.metadata.base import MetadataStore

MOST_CHAINS = 40
"""Chains at once: every job names them all."""
_KNOWN_SECONDS = 5.0
_ALL = "SELECT chain, added_at, automatic, place, leaving, version FROM precomputed ORDER BY chain"
_ADD = """
    INSERT INTO precomputed (chain, added_at, automatic, place, leaving, version) VALUES ($1, $2, $3, '', 0, $4)
    ON CONFLICT (chain) DO UPDATE SET
        automatic = excluded.automatic, place = '', leaving = 0, version = excluded.version
    WHERE excluded.automatic = 0 OR precomputed.leaving = 1
"""
"""The service does not take over what an operator has added meanwhile."""


@dataclass(frozen=True, slots=True)
class PrecomputedChain:
    """A chain that is precomputed."""

    chain: str
    added_at: int
    """Seconds since 1970."""
    automatic: bool
    """Whether the service has chosen it, and may drop it."""
    place: str | None
    """The last content that got a job, while earlier images get theirs; None when all have."""
    leaving: bool
    """Whether it was removed, and its variants are being removed."""
    version: int
    """That of the encoder for which earlier images get jobs, or have got them."""


class Precomputed:
    """The list of these chains."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata
        self._known: tuple[str, ...] = ()
        self._known_until = 0.0

    async def all(self) -> list[PrecomputedChain]:
        """All chains, also those whose variants are being removed."""
        rows = await self._metadata.fetch(_ALL)
        return [PrecomputedChain(row[0], row[1], bool(row[2]), row[3], bool(row[4]), row[5]) for row in rows]

    async def chains(self) -> tuple[str, ...]:
        """The chains in force."""
        self._known = tuple(each.chain for each in await self.all() if not each.leaving)
        self._known_until = time.monotonic() + _KNOWN_SECONDS
        return self._known

    async def lately(self) -> tuple[str, ...]:
        """The chains in force, as they were some seconds ago: every location of an image says them."""
        return await self.chains() if time.monotonic() > self._known_until else self._known

    async def add(self, chain: str, *, automatic: bool = False) -> None:
        """Precompute a chain from now on, also for earlier images. One that is there begins again."""
        await self._metadata.change(_ADD, chain, int(time.time()), int(automatic), VERSION)

    async def remove(self, chain: str) -> bool:
        """Stop precomputing a chain. Its variants will be removed. Returns False if it was not precomputed."""
        statement = "UPDATE precomputed SET leaving = 1, place = NULL WHERE chain = $1 AND leaving = 0"
        return await self._metadata.change(statement, chain) > 0

    async def begin_again(self, chain: str, version: int) -> None:
        """Give earlier images their jobs once more, since the encoder has another version."""
        statement = "UPDATE precomputed SET place = '', version = $2 WHERE chain = $1 AND leaving = 0"
        await self._metadata.change(statement, chain, version)

    async def advance(self, chain: str, place: str, new: str | None) -> None:
        """Note which content was the last that got a job."""
        statement = "UPDATE precomputed SET place = $3 WHERE chain = $1 AND place = $2"
        await self._metadata.change(statement, chain, place, new)

    async def forget(self, chain: str) -> None:
        """Remove a chain whose variants have been removed."""
        await self._metadata.change("DELETE FROM precomputed WHERE chain = $1 AND leaving = 1", chain)
