"""The shapes of load, for locust: one class each, chosen by SHAPE."""

import time

from locust import LoadTestShape

from loadtests import knee, plans
from loadtests.ledger import Ledger, Step
from loadtests.settings import Settings

_SETTLE_SECONDS = 5
"""Of a step, before it is read: users start, and connections are made."""
_LAG_SECONDS = 4
"""Workers report every 3 s: what is older than this is complete."""
_WARM_UP_SECONDS = 60
"""Of a ramp: before the hot variants are cached, any load is too much."""


class _Planned(LoadTestShape):
    """Users by a plan that is known before."""

    abstract = True
    name = ""

    def __init__(self, settings: Settings) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stages = plans.plan(self.name, settings.users, settings.seconds, settings.warm_up)

    def tick(self) -> tuple[int, float] | None:
        """See LoadTestShape. Users start within a second, and stop within one."""
        users = plans.users_at(self._stages, self.get_run_time())  # type: ignore[no-untyped-call]
        return None if users is None else (users, float(max(stage.users for stage in self._stages)))


class Steady(_Planned):
    """As many users all the time."""

    name = "steady"


class Spike(_Planned):
    """Ten times as many users for twenty seconds."""

    name = "spike"


class Soak(_Planned):
    """Steady, for an hour."""

    name = "soak"


class Cold(_Planned):
    """As many users at once, with nothing cached."""

    name = "cold"


class Ramp(LoadTestShape):
    """More and more users, until it does not get better."""

    ledger: Ledger

    def __init__(self, settings: Settings) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._settings = settings
        self._users = settings.users
        self._warm_up = _WARM_UP_SECONDS if settings.warm_up is None else settings.warm_up
        self._step_start = 0
        self._readings: list[knee.Reading] = []

    def tick(self) -> tuple[int, float] | None:
        """See LoadTestShape. A step begins to count once its users are settled."""
        now = int(time.time())
        if not self._step_start:
            self._step_start = now + max(self._warm_up, _SETTLE_SECONDS)
        if now >= self._step_start + self._settings.step_seconds + _LAG_SECONDS:
            self._read()
            if self._is_over():
                return None
            if not self.ledger.stopped_because:  # else the step is tried once more
                self._users = knee.next_users(self._users)
            self._step_start = now + _SETTLE_SECONDS
        return self._users, float(max(self._users, 1))

    def _read(self) -> None:
        step = Step(self._users, self._step_start, self._step_start + self._settings.step_seconds)
        self.ledger.steps.append(step)
        self._readings.append(knee.reading(self.ledger, step))
        self.ledger.stopped_because = knee.bend(self._readings, self._settings.p95_limit_ms) or ""

    def _is_over(self) -> bool:
        if not self.ledger.stopped_because and knee.next_users(self._users) > self._settings.most_users:
            self.ledger.stopped_because = f"more than {self._settings.most_users} users were not asked for"
            return True
        return knee.is_over(self._readings, self._settings.p95_limit_ms)


_CLASSES: dict[str, type[_Planned | Ramp]] = {
    "steady": Steady,
    "ramp": Ramp,
    "spike": Spike,
    "soak": Soak,
    "cold": Cold,
}


def chosen(settings: Settings, ledger: Ledger) -> type[LoadTestShape] | None:
    """The class that locust makes its shape of, which it does without arguments; None without a shape."""
    if not settings.shape:
        return None
    base = _CLASSES[settings.shape]

    class Chosen(base):  # type: ignore[valid-type, misc]
        def __init__(self) -> None:
            super().__init__(settings)
            self.ledger = ledger

    return Chosen
