"""Precomputing: gives earlier images their jobs, a few at a time, and removes variants of chains that were removed.

Any number of processes may do so at once: what two of them do twice has no effect.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import replace

from service_kit.errors import ServiceError
from storage_service.advice import USUAL_SECONDS, Advice, Budget, Site, advise, choose
from storage_service.jobs import Jobs
from storage_service.metadata.base import MetadataStore
from storage_service.precomputed import Precomputed, PrecomputedChain
from storage_service.usage import Usage
from storage_service.variants import Variants

_LOOK_SECONDS = 5.0
_AT_ONCE, _MOST_WAITING = 100, 300
"""Contents that get jobs at once, and jobs that may be waiting then: those of new uploads are never far behind."""
_RECENT, _DAY = 2, 25
"""Hours by which chains are adopted, so that new demand is seen within the hour, and by which they are dropped."""
_DECIDE_SECONDS = 600.0
MOST_CHAINS = 40
"""Chains at once: every job names them all."""

logger = logging.getLogger(__name__)


class Precomputing:
    """Brings what is stored in line with the list of chains."""

    def __init__(
        self,
        metadata: MetadataStore,
        precomputed: Precomputed,
        variants: Variants,
        jobs: Jobs,
        usage: Usage,
        *,
        cores: float,
        automatic: bool = False,
    ) -> None:
        """`cores`: how many may work on earlier images. `automatic`: whether to choose chains."""
        self._metadata = metadata
        self._precomputed = precomputed
        self._variants = variants
        self._jobs = jobs
        self._usage = usage
        self._cores = cores
        self._automatic = automatic
        self._decided = -_DECIDE_SECONDS

    async def run(self) -> None:
        """Work for ever."""
        while True:
            try:
                while await self.step():
                    pass
                if self._automatic and time.monotonic() - self._decided > _DECIDE_SECONDS:
                    await self.decide()
                    self._decided = time.monotonic()
            except ServiceError as error:
                logger.warning("precomputing is delayed: %s", error)
            except Exception:
                logger.exception("precomputing is delayed")  # go on: otherwise it would stop until a restart
            await asyncio.sleep(_LOOK_SECONDS)

    async def step(self) -> bool:
        """Do the next part. Returns whether there may be more to do now."""
        more = False
        for chain in await self._precomputed.all():
            if chain.leaving:
                more |= await self._remove(chain)
            elif chain.place is not None and self._variants.limit:
                more |= await self._continue(chain, chain.place)
        return more

    async def _remove(self, chain: PrecomputedChain) -> bool:
        if await self._variants.remove_about(chain.chain):
            return True
        await self._precomputed.forget(chain.chain)
        return False

    async def _continue(self, chain: PrecomputedChain, place: str) -> bool:
        waiting, _ = await self._jobs.waiting()
        if waiting > _MOST_WAITING:
            return False
        contents = await self._metadata.contents(_AT_ONCE, place)
        if contents:
            pause = await self._seconds(chain.chain) / self._cores
            await self._jobs.add_later([content.sha256 for content in contents if not content.damaged], pause)
        # After the jobs: a crash in between adds them again.
        await self._precomputed.advance(chain.chain, place, contents[-1].sha256 if contents else None)
        return bool(contents)

    async def _seconds(self, chain: str) -> float:
        """What a render takes."""
        return (await self._usage.render_seconds()).get(chain, USUAL_SECONDS)

    async def decide(self) -> None:
        """Adopt and drop chains, by what viewers request now and have requested in a day."""
        chains = await self._precomputed.all()
        precomputed = {each.chain for each in chains if not each.leaving}
        automatic = {each.chain for each in chains if each.automatic} & precomputed
        recent, day = [await advised(self._usage, hours, precomputed) for hours in (_RECENT, _DAY)]
        # What is worth its cost over a day stays, even if nobody wants it at night.
        kept = {each.chain: each.saves_seconds for each in day if each.verdict == "keep"}
        judged = [replace(each, saves_seconds=max(each.saves_seconds, kept.get(each.chain, 0.0))) for each in recent]
        budget = Budget(self._variants.limit, self._cores, MOST_CHAINS)
        adopted, dropped = choose(judged, automatic, budget)
        for chain in dropped:
            await self._precomputed.remove(chain)
            logger.info("the chain %s is no longer precomputed: demand has changed", chain)
        for chain in adopted:
            await self._precomputed.add(chain, automatic=True)
            logger.info("the chain %s is precomputed from now on", chain)


async def advised(usage: Usage, hours: int, precomputed: Collection[str]) -> list[Advice]:
    """Advice by what was requested in the last hours."""
    images, new = await usage.site()
    chains, seconds = await usage.chains(hours), await usage.render_seconds()
    return advise(chains, await usage.days(hours), Site(images, new), precomputed, seconds)
