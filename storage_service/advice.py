"""What precomputing a chain would save and cost, from what viewers requested (docs/adr/0070). Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from service_kit.usage import ORIGINAL, OTHER, Outcome
from storage_service.usage import ChainUsage, Rendered

_ADOPT, _KEEP = 2.0, 0.5
"""How many times its cost a chain must save to be adopted, and below which it is dropped: in between, nothing changes,
so that a chain whose demand varies is not adopted and dropped in turn."""
USUAL = Rendered(0.05, 20_000, 1.0)
"""A render and a result of a chain that was never rendered."""
_DAYS_PAID = 7
"""Days in which the renders of earlier images have to pay off."""
_LEAST_SAVED = 1.0
"""Seconds a day."""
_LEAST_RENDERS = 10
"""Fewer say nothing about a day."""
_BETTER = 4.0
"""How many times better another chain must be to take the place of one that is worth its cost."""
_ROOM = 0.9
"""The share of the storage budget up to which chains are adopted: the library grows."""
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Site:
    """What there is: images, and how many new ones a day has."""

    images: int
    uploads_per_day: float


@dataclass(frozen=True, slots=True)
class Advice:
    """What is known about a chain, per day, and what follows."""

    chain: str
    requests: float
    saves_seconds: float
    """Renders while somebody waits, which precomputing saves."""
    new_seconds: float
    """Renders of new images, when nobody waits."""
    new_bytes: float
    existing_seconds: float
    """Renders of all earlier images, once."""
    existing_bytes: float
    is_precomputed: bool
    is_paid: bool = False
    """Whether the variants of earlier images are there."""
    renders: float = _LEAST_RENDERS
    """The renders from which this was computed, not per day."""
    is_guess: bool = False
    """Whether nobody has ever requested a render of the chain, so its cost is unknown."""
    is_new: bool = False
    """Whether it has been precomputed for less than a day. It is not judged yet."""

    @property
    def cost_seconds(self) -> float:
        """What it costs: also earlier images, unless they have been paid for."""
        return self.new_seconds + (0.0 if self.is_paid else self.existing_seconds / _DAYS_PAID)

    @property
    def ratio(self) -> float:
        """What it saves, over what it costs."""
        cost = self.new_seconds if self.is_precomputed else self.cost_seconds
        return self.saves_seconds / max(1e-6, cost)

    @property
    def verdict(self) -> str:
        """`adopt`, `keep`, `drop` or `leave`."""
        if self.is_precomputed:
            return "keep" if self.ratio >= _KEEP or self.is_new else "drop"
        enough = self.saves_seconds >= _LEAST_SAVED and self.renders >= _LEAST_RENDERS
        return "adopt" if self.ratio >= _ADOPT and enough else "leave"

    @property
    def reason(self) -> str:
        """The verdict with the numbers behind it."""
        if not self.is_precomputed and self.renders < _LEAST_RENDERS:
            return f"fewer than {_LEAST_RENDERS} renders so far"
        if self.is_new and self.ratio < _KEEP:
            return "added less than a day ago"
        about = "about " if self.is_guess else ""
        return f"saves {about}{self.saves_seconds:.1f} s a day for {about}{self.cost_seconds:.1f} s"


def advise(
    chains: Sequence[ChainUsage],
    days: float,
    site: Site,
    precomputed: Mapping[str, bool],
    rendered: Mapping[str, Rendered],
) -> list[Advice]:
    """Advice on each chain that was requested in the last `days`, or is precomputed. Most savings first.

    `precomputed`: the chains, and whether earlier images have their variants. `rendered` is what renders of each chain
    took in the past, when they were needed.
    """
    # A chain with another image in it (=*) is never stored.
    found = {each.chain: each for each in chains if each.chain not in {ORIGINAL, OTHER} and "=*" not in each.chain}
    for name in precomputed:
        found.setdefault(name, ChainUsage(name))
    advice = [_advice(chain, days, site, rendered.get(name), precomputed.get(name)) for name, chain in found.items()]
    return sorted(advice, key=lambda each: (-each.saves_seconds, each.chain))


def _advice(chain: ChainUsage, days: float, site: Site, known: Rendered | None, paid: bool | None) -> Advice:
    needed, rendered = float(chain.renders), known or USUAL
    if paid is not None:
        # A stored variant is sent before the result cache is asked, which had some of them before.
        needed += chain.outcomes.get(Outcome.VARIANT, 0) * rendered.share
    return Advice(
        chain=chain.chain,
        requests=chain.requests / days,
        saves_seconds=needed * rendered.seconds / days,
        new_seconds=site.uploads_per_day * rendered.seconds,
        new_bytes=site.uploads_per_day * rendered.bytes,
        existing_seconds=site.images * rendered.seconds,
        existing_bytes=site.images * rendered.bytes,
        is_precomputed=paid is not None,
        is_paid=bool(paid),
        renders=needed,
        is_guess=known is None,
    )


@dataclass(frozen=True, slots=True)
class Budget:
    """What precomputing may take: bytes, cores, and chains at once."""

    bytes: int
    cores: float
    chains: int


def choose(advice: Sequence[Advice], automatic: Collection[str], budget: Budget) -> tuple[list[str], list[str]]:
    """The chains to adopt and to drop. Those that an operator has added stay, and count against the budget."""
    dropped = [each for each in advice if each.chain in automatic and each.verdict == "drop"]
    kept = [each for each in advice if each.is_precomputed and each not in dropped]
    worst_first = sorted((each for each in kept if each.chain in automatic), key=lambda each: each.ratio)
    while worst_first and not _fits(kept, budget, 1.0):
        dropped.append(worst_first.pop(0))
        kept.remove(dropped[-1])
    adopted: list[Advice] = []
    for each in sorted(advice, key=lambda each: -each.ratio):
        if each.verdict != "adopt":
            continue
        leaving: list[Advice] = []
        worse = [one for one in worst_first if one in kept and one.ratio * _BETTER < each.ratio]
        left = [*kept, *adopted, each]
        while worse and not _fits(left, budget, _ROOM):
            leaving.append(worse.pop(0))
            left.remove(leaving[-1])
        if _fits(left, budget, _ROOM):
            adopted.append(each)
            dropped += leaving
            kept = [one for one in kept if one not in leaving]
    return [each.chain for each in adopted], [each.chain for each in dropped]


def _fits(chains: Sequence[Advice], budget: Budget, share: float) -> bool:
    return (
        len(chains) <= budget.chains
        and sum(each.existing_bytes for each in chains) <= budget.bytes * share
        and sum(each.cost_seconds for each in chains) <= budget.cores * _DAY
    )
