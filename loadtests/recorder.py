"""Counts what locust's users get, in one process or in several, and writes the ledger at the end."""

import time
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtests import checks
from loadtests.ledger import LATE, LEDGER, NONE, Key, Ledger, Tally
from loadtests.settings import Settings

_LINE_SECONDS = 5
_LINE_LAG = 4
_KIND = "loadtest"
_LATE_EVERY = 0.05


class Recorder:
    """Listens to one process of locust. Workers send their counts to the master with locust's own reports."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.ledger, self._settings = ledger, settings

    def listen(self, environment: Environment) -> None:
        """Start counting."""
        events, runner = environment.events, environment.runner
        events.request.add_listener(self._note)
        events.user_error.add_listener(self._stumbled)
        if not isinstance(runner, MasterRunner):
            gevent.spawn(self._measure_delay)
        if isinstance(runner, WorkerRunner):
            events.report_to_master.add_listener(self._send)
            return
        events.worker_report.add_listener(lambda data, **_: self.ledger.add(data[_KIND]))
        gevent.spawn(self._watch, runner)
        events.quit.add_listener(lambda **_: self.ledger.write(self._settings.out / LEDGER))

    def _tally(self, name: str, cache: str = NONE) -> Tally:
        return self.ledger.tally(Key(int(time.time()), name, cache))

    def _stumbled(self, user_instance: Any, exception: BaseException, **_: Any) -> None:
        """Count a task that an exception ended: its answer was not checked."""
        name = f"{user_instance.role} task"
        self._tally(name).failed += 1
        self.ledger.failures[f"{name}: {type(exception).__name__}: {exception}"] += 1

    def _note(self, name: str, response_time: float, exception: Any, response: Any = None, **_: Any) -> None:
        tally = self._tally(name, _cache(getattr(response, "headers", None)))
        if exception is None:
            tally.note(response_time)
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

    def _measure_delay(self) -> None:
        """Count how late the loop is: it reads every answer that late."""
        while True:
            start = time.perf_counter()
            gevent.sleep(_LATE_EVERY)
            self._tally(LATE).note((time.perf_counter() - start - _LATE_EVERY) * 1000)

    def _watch(self, runner: Any) -> None:
        """Count the users, and print how it goes."""
        while True:
            now = int(time.time())
            self.ledger.users[now] = runner.user_count
            if now % _LINE_SECONDS == 0 and now - _LINE_LAG - _LINE_SECONDS >= self.ledger.span[0] > 0:
                print(self._line(now - _LINE_LAG), flush=True)
            gevent.sleep(1)

    def _line(self, now: int) -> str:
        every, viewers = (self.ledger.summary(group, now - _LINE_SECONDS, now) for group in ("all", "viewers"))
        p95 = "-" if viewers.p95_ms is None else f"{viewers.p95_ms:.0f} ms"
        hits = "-" if viewers.hit_ratio is None else f"{viewers.hit_ratio:.0%}"
        users = self.ledger.users.get(now, self.ledger.users.get(now - 1, 0))  # a second may be missing
        return (
            f"{now - self.ledger.span[0]:5} s {users:6} users {every.goodput:8.1f} good/s"
            f"   viewers: p95 {p95}, hits {hits}"
            f"   refused {every.refused_share:.1%}, errors {every.error_share:.1%}"
        )


def _cache(headers: Any) -> str:
    """What the cache did. Answers that may not be cached, such as facts and refusals, are not misses."""
    if not headers or not str(headers.get("Cache-Control")).startswith("public"):
        return NONE
    return str(headers.get("X-Cache") or NONE)
