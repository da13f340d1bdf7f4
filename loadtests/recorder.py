"""Counts what locust's users get, in one process or in many, and writes the ledger at the end."""

import time
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtests import checks
from loadtests.ledger import LATE, LEDGER, Ledger
from loadtests.settings import Settings
from loadtests.tallies import NONE, Key, bucket

_LINE_SECONDS = 5
_LINE_LAG = 4
_KIND = "loadtest"
_LATE_EVERY = 0.05


class Recorder:
    """Listens to one process of locust. Workers send their counts to the master with locust's own reports."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.ledger = ledger
        self._settings = settings

    def listen(self, environment: Environment) -> None:
        """Count from now on."""
        events, runner = environment.events, environment.runner
        events.request.add_listener(self._note)
        events.user_error.add_listener(self._stumbled)
        if not isinstance(runner, MasterRunner):
            gevent.spawn(self._look_late)
        if isinstance(runner, WorkerRunner):
            events.report_to_master.add_listener(self._send)
            return
        if isinstance(runner, MasterRunner):
            events.worker_report.add_listener(self._receive)
        gevent.spawn(self._watch, runner)
        events.quit.add_listener(lambda **_: self.ledger.write(self._settings.out / LEDGER))

    def _stumbled(self, user_instance: Any, exception: BaseException, **_: Any) -> None:
        """Count a task that ended with an exception: what it should have seen, nobody saw."""
        name = f"{user_instance.role} task"
        self.ledger.tally(Key(int(time.time()), name, NONE)).failed += 1
        self.ledger.failures[f"{name}: {type(exception).__name__}: {exception}"] += 1

    def _note(
        self, name: str, response_time: float, response_length: int, exception: Any, response: Any = None, **_: Any
    ) -> None:
        tally = self.ledger.tally(Key(int(time.time()), name, _cache(getattr(response, "headers", None))))
        tally.bytes += response_length or 0
        if exception is None:
            tally.latencies[bucket(response_time)] += 1
            return
        if isinstance(exception, checks.Refused):
            tally.refused += 1
        else:
            tally.failed += 1
        self.ledger.failures[f"{name}: {exception}"] += 1

    def _send(self, client_id: str, data: dict[str, Any]) -> None:
        data[_KIND] = self.ledger.packed()
        self.ledger.tallies.clear()
        self.ledger.failures.clear()

    def _receive(self, client_id: str, data: dict[str, Any]) -> None:
        self.ledger.add(data[_KIND])

    def _look_late(self) -> None:
        """Note by how much the loop is late, as every answer is that it reads."""
        while True:
            start = time.perf_counter()
            gevent.sleep(_LATE_EVERY)
            late = time.perf_counter() - start - _LATE_EVERY
            self.ledger.tally(Key(int(time.time()), LATE, NONE)).latencies[bucket(late * 1000)] += 1

    def _watch(self, runner: Any) -> None:
        """Note how many users there are, and tell how it goes."""
        while True:
            now = int(time.time())
            self.ledger.users[now] = runner.user_count
            if now % _LINE_SECONDS == 0 and now - _LINE_LAG - _LINE_SECONDS >= self.ledger.span[0] > 0:
                print(self._line(now - _LINE_LAG), flush=True)
            gevent.sleep(1)

    def _line(self, now: int) -> str:
        start = self.ledger.span[0]
        every = self.ledger.summary("all", now - _LINE_SECONDS, now)
        viewers = self.ledger.summary("viewers", now - _LINE_SECONDS, now)
        p95 = "-" if viewers.p95_ms is None else f"{viewers.p95_ms:.0f} ms"
        hits = "-" if viewers.hit_ratio is None else f"{viewers.hit_ratio:.0%}"
        users = next(
            (self.ledger.users[s] for s in (now, now - 1) if s in self.ledger.users), 0
        )  # a second may be missed
        return (
            f"{now - start:5} s {users:6} users {every.goodput:8.1f} good/s"
            f"   viewers: p95 {p95}, hits {hits}"
            f"   refused {every.refused_share:.1%}, errors {every.error_share:.1%}"
        )


def _cache(headers: Any) -> str:
    """What the cache did; what may not be kept there, as facts and refusals, is no miss."""
    if not headers or not str(headers.get("Cache-Control")).startswith("public"):
        return NONE
    return str(headers.get("X-Cache") or NONE)
