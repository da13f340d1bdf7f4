"""The load generator of the speed benchmark.

The clients take their requests from one sequence, so every system does the same work in the same order, and equal
requests are far apart.
"""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass

import uvloop

from measuring.client import Answer, Client

_ANSWER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Target:
    """A request and its right answer."""

    path: str
    content_type: str
    length: int

    def problem(self, answer: Answer) -> str | None:
        """Why an answer does not count."""
        if answer.error or not answer.ok:
            return answer.error or f"status {answer.status}"
        if answer.headers.get("Content-Type") != self.content_type:
            return f"type {answer.headers.get('Content-Type')}"
        return None if answer.length == self.length else "another length than the body that was checked"


@dataclass(frozen=True, slots=True)
class Job:
    """The requests, in order. The clients are divided among the URLs."""

    urls: list[str]
    clients: int
    targets: list[Target]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The seconds of each good answer, and how often which failure occurred."""

    seconds: float
    latencies: list[float]
    failures: dict[str, int]
    client_cpu_seconds: float = 0


def generate(job: Job) -> Outcome:
    """Send all requests of a job."""
    return uvloop.run(_generate(job))


async def _generate(job: Job) -> Outcome:
    targets = {target.path: target for target in job.targets}
    left = iter([target.path for target in job.targets])
    count = min(len(job.urls), job.clients)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(url, seconds=_ANSWER_SECONDS)) for url in job.urls[:count]]
        shares = [job.clients // count + (number < job.clients % count) for number in range(count)]
        started, cpu = time.perf_counter(), time.process_time()
        found = await asyncio.gather(*(client.closed(left, n) for client, n in zip(clients, shares, strict=True)))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    judged = [(answer, targets[answer.path].problem(answer)) for answers in found for answer in answers]
    return Outcome(
        seconds=seconds,
        client_cpu_seconds=cpu,
        latencies=[answer.seconds for answer, problem in judged if not problem],
        failures=Counter(problem for _, problem in judged if problem),
    )
