"""What `python -m loadtests` passes to locust's processes, in environment variables such as LOADTEST_USERS."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The settings of one run, by default those in the environment."""

    model_config = SettingsConfigDict(env_prefix="LOADTEST_", frozen=True)

    shape: str = ""
    """One of plans.SHAPES; empty if users are set in locust's web page."""
    users: int = 20
    """In a ramp: users of the first step."""
    seconds: int | None = None
    """None: as long as the shape takes."""
    warm_up: int | None = None
    step_seconds: int = 20
    most_users: int = 5000
    """The end of a ramp."""
    p95_limit_ms: float = 500.0
    """The p95 of viewers above which a ramp ends."""
    corpus: Path = Path()
    out: Path = Path()

    def environment(self) -> dict[str, str]:
        """These settings as variables."""
        return {f"LOADTEST_{name.upper()}": str(value) for name, value in self if value is not None}
