"""Precomputing: gives earlier images their jobs, a few at a time, and removes variants of chains that were removed.

Images from before looks were kept get jobs, too.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from service_kit.errors import ServiceError
from storage_service.advice import USUAL, Advice, Budget, Site, advise, choose
from storage_service.jobs import Jobs
from storage_service.leases import Lease
from storage_service.levels import Levels
from storage_service.looks import Looks
from storage_service.metadata.base import MetadataStore
from storage_service.precomputed import MOST_CHAINS, Precomputed, PrecomputedChain
from storage_service.usage import Usage
from storage_service.variants import Variants

_LOOK_SECONDS = 5.0
_AT_ONCE, _MOST_WAITING = 100, 300
"""Contents that get jobs at once, and jobs that may be waiting then: those of new uploads are never far behind."""
_LOOK_COST = 0.25
"""Seconds of a core for the job of an image from before looks were kept, which makes its levels, too."""
_RECENT, _DAY = 2, 25
"""Hours by which chains are adopted, so that new demand is seen within the hour, and by which they are dropped."""
_DECIDE_SECONDS, _TIMES = 600.0, 2
"""How often chains are chosen, and how many times in a row a chain must be worth it: no crawler decides."""
_LEASE_SECONDS = 60

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
        looks: Looks,
        levels: Levels,
        cores: float,
        automatic: bool = False,
    ) -> None:
        """`cores`: how many may work on earlier images. `automatic`: whether to choose chains."""
        self._metadata = metadata
        self._precomputed = precomputed
        self._variants = variants
        self._jobs = jobs
        self._usage = usage
        self._looks = looks
        self._levels = levels
        self._looked_until: str | None = ""
        """The last content of which it is known whether it has a look; None: all have one."""
        self._some_had_none = False
        """Whether some had none in this pass. Then another one follows: an older node may have done their jobs."""
        self._cores = cores
        self._automatic = automatic
        self._decided = -_DECIDE_SECONDS
        self._wanted: Counter[str] = Counter()
        """How many decisions in a row each chain was worth adopting."""
        self._lease = Lease(metadata, "precomputing", _LEASE_SECONDS)

    async def run(self) -> None:
        """Work for ever, while no other process does."""
        while True:
            try:
                while await self._lease.take() and await self.step():
                    pass
                due = self._automatic and time.monotonic() - self._decided > _DECIDE_SECONDS
                if due and await self._lease.take():
                    await self.decide()
                    self._decided = time.monotonic()
            except ServiceError as error:
                logger.warning("precomputing is delayed: %s", error)
            except Exception:
                logger.exception("precomputing is delayed")  # go on: otherwise it would stop until a restart
            await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        """Let another process go on at once. Call it when `run` has ended."""
        with suppress(ServiceError):
            await self._lease.release()

    async def step(self) -> bool:
        """Do the next part. Returns whether there may be more to do now."""
        more = False
        for chain in await self._precomputed.all():
            try:
                more |= await self._step(chain)
            except ServiceError as error:  # others may succeed
                logger.warning("the chain %s is delayed: %s", chain.chain, error)
        try:
            more |= await self._look_back()
        except ServiceError as error:
            logger.warning("looks of earlier images are delayed: %s", error)
        return more

    async def _step(self, chain: PrecomputedChain) -> bool:
        if chain.leaving:
            return await self._remove(chain)
        if not self._variants.limit:
            return False
        if chain.version != self._variants.version:
            await self._precomputed.begin_again(chain.chain, self._variants.version)
            return True
        return chain.place is not None and await self._continue(chain, chain.place)

    async def _look_back(self) -> bool:
        """Give jobs to the next contents that nobody has looked at, while there is room for the levels they make."""
        if self._looked_until is None:
            return False
        is_another_pass = self._some_had_none and not self._looked_until
        waiting, _ = await self._jobs.waiting()
        if waiting > (_AT_ONCE if is_another_pass else _MOST_WAITING) or await self._levels.is_full():
            return False
        if is_another_pass:
            self._some_had_none = False
        contents = await self._metadata.contents(_AT_ONCE, self._looked_until)
        missing = await self._looks.missing([content.sha256 for content in contents if not content.damaged])
        await self._jobs.add_later(missing, _LOOK_COST / self._cores)
        self._some_had_none |= bool(missing)
        end = "" if self._some_had_none else None
        self._looked_until = contents[-1].sha256 if contents else end
        return bool(contents)

    async def _remove(self, chain: PrecomputedChain) -> bool:
        if await self._variants.remove_about(chain.chain):
            return True
        await self._precomputed.forget(chain.chain)
        return False

    async def _continue(self, chain: PrecomputedChain, place: str) -> bool:
        waiting, _ = await self._jobs.waiting()
        if waiting > _MOST_WAITING or await self._variants.is_full():
            return False
        contents = await self._metadata.contents(_AT_ONCE, place)
        if contents:
            pause = (await self._usage.rendered()).get(chain.chain, USUAL).seconds / self._cores
            await self._jobs.add_later([content.sha256 for content in contents if not content.damaged], pause)
        # After the jobs: a crash in between adds them again.
        await self._precomputed.advance(chain.chain, place, contents[-1].sha256 if contents else None)
        return bool(contents)

    async def decide(self) -> None:
        """Adopt and drop chains, by what viewers request now and have requested in a day."""
        chains = await self._precomputed.all()
        precomputed = {each.chain: each.place is None for each in chains if not each.leaving}
        automatic = {each.chain for each in chains if each.automatic} & precomputed.keys()
        recent, day = [await advised(self._usage, hours, precomputed) for hours in (_RECENT, _DAY)]
        # What is worth its cost over a day stays, even if nobody wants it at night.
        kept = {each.chain: each.saves_seconds for each in day if each.verdict == "keep"}
        judged = [replace(each, saves_seconds=max(each.saves_seconds, kept.get(each.chain, 0.0))) for each in recent]
        wanted = {each.chain for each in judged if each.verdict == "adopt"}
        self._wanted = Counter({chain: self._wanted[chain] + 1 for chain in wanted})
        steady = [each for each in judged if each.verdict != "adopt" or self._wanted[each.chain] >= _TIMES]
        budget = Budget(self._variants.limit, self._cores, MOST_CHAINS)
        adopted, dropped = choose(steady, automatic, budget)
        for chain in dropped:
            await self._precomputed.remove(chain)
            logger.info("the chain %s is no longer precomputed: it is not worth its cost, or does not fit", chain)
        for chain in adopted:
            await self._precomputed.add(chain, automatic=True)
            logger.info("the chain %s is precomputed from now on", chain)


async def advised(usage: Usage, hours: int, precomputed: Mapping[str, bool]) -> list[Advice]:
    """Advice by what was requested in the last hours. `precomputed` is as in `advise`."""
    images, new = await usage.site()
    chains, rendered = await usage.chains(hours), await usage.rendered()
    return advise(chains, await usage.days(hours), Site(images, new), precomputed, rendered)
