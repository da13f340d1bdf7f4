"""The shapes of load, as classes of locust."""

import time

from locust import LoadTestShape

from loadtests import knee, plans
from loadtests.ledger import Ledger, Step
from loadtests.settings import Settings

_SETTLE_SECONDS = 5
"""At the start of a step, while users start and connect."""
_LAG_SECONDS = 4
"""Workers report every 3 s, so older counts are complete."""
_WARM_UP_SECONDS = 60
"""Of a ramp: any load is too much until the popular variants are cached."""


class Planned(LoadTestShape):
    """Users by a plan."""

    def __init__(self, settings: Settings, _ledger: Ledger) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stages = plans.plan(settings.shape, settings.users, settings.seconds, settings.warm_up)

    def tick(self) -> tuple[int, float] | None:
        """See LoadTestShape. Users start and stop within a second."""
        users = plans.users_at(self._stages, self.get_run_time())  # type: ignore[no-untyped-call]
        return None if users is None else (users, float(max(stage.users for stage in self._stages)))


class Ramp(LoadTestShape):
    """More and more users, until they do not get more answers."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._settings, self._ledger, self._users = settings, ledger, settings.users
        self._step_start = 0
        self._readings: list[knee.Reading] = []

    def tick(self) -> tuple[int, float] | None:
        """See LoadTestShape. A step counts once its users have settled."""
        now = int(time.time())
        if not self._step_start:
            warm_up = _WARM_UP_SECONDS if self._settings.warm_up is None else self._settings.warm_up
            self._step_start = now + max(warm_up, _SETTLE_SECONDS)
        if now >= self._step_start + self._settings.step_seconds + _LAG_SECONDS:
            self._read()
            if self._is_over():
                return None
            if not self._ledger.stopped_because:  # otherwise the step is tried again
                self._users = knee.next_users(self._users)
            self._step_start = now + _SETTLE_SECONDS
        return self._users, float(max(self._users, 1))

    def _read(self) -> None:
        step = Step(self._users, self._step_start, self._step_start + self._settings.step_seconds)
        self._ledger.steps.append(step)
        self._readings.append(knee.reading(self._ledger, step))
        self._ledger.stopped_because = knee.bend(self._readings, self._settings.p95_limit_ms) or ""

    def _is_over(self) -> bool:
        if not self._ledger.stopped_because and knee.next_users(self._users) > self._settings.most_users:
            self._ledger.stopped_because = f"--most-users is {self._settings.most_users}"
            return True
        return knee.is_over(self._readings, self._settings.p95_limit_ms)


def chosen(settings: Settings, ledger: Ledger) -> type[LoadTestShape] | None:
    """The class of the chosen shape, which locust instantiates without arguments."""
    if not settings.shape:
        return None
    base: type[Planned | Ramp] = Ramp if settings.shape == "ramp" else Planned

    class Chosen(base):  # type: ignore[valid-type, misc]
        def __init__(self) -> None:
            super().__init__(settings, ledger)

    return Chosen
