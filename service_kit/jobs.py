"""The contract about jobs: work for which nobody waits, done at least once (docs/adr/0068)."""

from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict

DERIVE = "derive"
"""The kind of job that makes what is derived from an image: its levels, and its precomputed variants."""


class Job(BaseModel):
    """A job that was claimed."""

    model_config = ConfigDict(frozen=True)

    kind: str
    sha256: str
    """The content that it is about."""
    image_id: str
    """An image with that content."""
    chains: tuple[str, ...] = ()
    """The chains to precompute."""
    claim: int
    """Tells this claim from later ones of the same job."""


class Outcome(StrEnum):
    """How a claimed job ended."""

    DONE = "done"
    LATER = "later"
    """No core was free, storage was full, or the image is gone. That does not count as an attempt."""
    RETRY = "retry"
    """It failed, but may succeed later."""
    FAILED = "failed"
    """It would always fail."""


class Settlement(BaseModel):
    """A claimed job, how it ended, and why."""

    model_config = ConfigDict(frozen=True)

    job: Job
    outcome: Outcome
    reason: str = ""


class JobQueue(Protocol):
    """A durable queue. A claimed job that is not settled is due again after a minute."""

    async def claim(self) -> Job | None:
        """The job that is due for longest; None if none is due. Raises Unavailable."""

    async def settle(self, settlement: Settlement) -> None:
        """Note how a claimed job ended. No effect if it has been claimed again since. Raises Unavailable."""


class JobRunner(Protocol):
    """Does jobs."""

    async def run(self, job: Job) -> None:
        """Do a job, when nobody else needs the cores. Doing it twice is doing it once.

        Raises Gone if the image is gone, UnprocessableImage if the job would always fail,
        InsufficientStorage if storage is full, Unavailable if no core is free, and any other ServiceError if it failed.
        """
