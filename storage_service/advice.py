"""What precomputing a chain would save and cost, from what viewers requested (docs/adr/0070). Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from service_kit.usage import ORIGINAL, OTHER, Outcome
from storage_service.usage import ChainUsage

_ADOPT, _KEEP = 2.0, 0.5
"""How many times its cost a chain must save to be adopted, and below which it is dropped: in between, nothing changes,
so that a chain whose demand varies is not adopted and dropped in turn."""
USUAL_SECONDS, _USUAL_BYTES = 0.05, 20_000
"""A render and a result of a chain that was never rendered."""
_DAYS_PAID = 7
"""Days in which the renders of earlier images have to pay off."""
_LEAST_SAVED = 1.0
"""Seconds a day."""
_BETTER = 4.0
"""How many times better another chain must be to take the place of one that is worth its cost."""
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

    @property
    def cost_seconds(self) -> float:
        """What it costs: also earlier images, unless they have been paid for."""
        return self.new_seconds + (0.0 if self.is_precomputed else self.existing_seconds / _DAYS_PAID)

    @property
    def ratio(self) -> float:
        """What it saves, over what it costs."""
        return self.saves_seconds / max(1e-6, self.cost_seconds)

    @property
    def verdict(self) -> str:
        """`adopt`, `keep`, `drop` or `leave`."""
        if self.is_precomputed:
            return "keep" if self.ratio >= _KEEP else "drop"
        return "adopt" if self.ratio >= _ADOPT and self.saves_seconds >= _LEAST_SAVED else "leave"

    @property
    def reason(self) -> str:
        """The verdict with the numbers behind it."""
        return f"saves {self.saves_seconds:.1f} s a day for {self.cost_seconds:.1f} s"


def advise(
    chains: Sequence[ChainUsage],
    days: float,
    site: Site,
    precomputed: Collection[str],
    render_seconds: Mapping[str, float],
) -> list[Advice]:
    """Advice on each chain that was requested in the last `days`, or is precomputed. Most savings first.

    `render_seconds` is what a render of each chain took in the past, when it was not precomputed yet.
    """
    found = {chain.chain: chain for chain in chains if chain.chain not in {ORIGINAL, OTHER}}
    for name in precomputed:
        found.setdefault(name, ChainUsage(name))
    advice = [
        _advice(chain, days, site, render_seconds.get(name, USUAL_SECONDS), is_precomputed=name in precomputed)
        for name, chain in found.items()
    ]
    return sorted(advice, key=lambda each: (-each.saves_seconds, each.chain))


def _advice(chain: ChainUsage, days: float, site: Site, seconds: float, *, is_precomputed: bool) -> Advice:
    size = chain.bytes / chain.requests if chain.requests else _USUAL_BYTES
    # A stored variant was a render that nobody waited for.
    needed = chain.renders + chain.outcomes.get(Outcome.VARIANT, 0)
    return Advice(
        chain=chain.chain,
        requests=chain.requests / days,
        saves_seconds=needed * seconds / days,
        new_seconds=site.uploads_per_day * seconds,
        new_bytes=site.uploads_per_day * size,
        existing_seconds=site.images * seconds,
        existing_bytes=site.images * size,
        is_precomputed=is_precomputed,
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
    adopted: list[Advice] = []
    for each in sorted(advice, key=lambda each: -each.ratio):
        if each.verdict != "adopt":
            continue
        worse = sorted(
            (one for one in kept if one.chain in automatic and one.ratio * _BETTER < each.ratio),
            key=lambda one: one.ratio,
        )
        leaving: list[Advice] = []
        while not _fits([*kept, *adopted, each], leaving, budget) and worse:
            leaving.append(worse.pop(0))
        if _fits([*kept, *adopted, each], leaving, budget):
            adopted.append(each)
            dropped += leaving
            kept = [one for one in kept if one not in leaving]
    return [each.chain for each in adopted], [each.chain for each in dropped]


def _fits(chains: Sequence[Advice], without: Sequence[Advice], budget: Budget) -> bool:
    left = [each for each in chains if each not in without]
    return (
        len(left) <= budget.chains
        and sum(each.existing_bytes for each in left) <= budget.bytes
        and sum(each.cost_seconds for each in left) <= budget.cores * _DAY
    )
