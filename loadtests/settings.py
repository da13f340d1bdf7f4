"""What locust's processes are told by `python -m loadtests`, as environment variables."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one run."""

    shape: str = ""
    """One of plans.SHAPES; empty: users are set in locust's web page."""
    users: int = 20
    """Of a ramp: in its first step."""
    seconds: int | None = None
    """None: what the shape takes."""
    warm_up: int | None = None
    step_seconds: int = 20
    """Of a ramp's steps."""
    most_users: int = 5000
    """Of a ramp."""
    p95_limit_ms: float = 500.0
    """Of viewers, above which a ramp ends."""
    corpus: Path = Path()
    out: Path = Path()

    def environment(self) -> dict[str, str]:
        """These settings as variables: LOADTEST_USERS, …, and SHAPE."""
        values = {_variable(name): str(value) for name, value in asdict(self).items() if value is not None}
        return {**values, "SHAPE": self.shape}


def _variable(name: str) -> str:
    return f"LOADTEST_{name.upper()}"


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings that the environment has."""
    kinds = {"users": int, "seconds": int, "warm_up": int, "step_seconds": int, "most_users": int}
    kinds |= {"p95_limit_ms": float, "corpus": Path, "out": Path}  # type: ignore[dict-item]
    given = {name: kind(environment[_variable(name)]) for name, kind in kinds.items() if _variable(name) in environment}
    return Settings(shape=environment.get("SHAPE", ""), **given)  # type: ignore[arg-type]
