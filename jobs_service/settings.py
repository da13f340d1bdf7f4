"""Settings of the jobs service."""

from pydantic import Field

from service_kit.settings import CommonSettings, ServiceUrl


class JobsSettings(CommonSettings):
    """Settings from environment variables with the fields' names in upper case."""

    storage_url: ServiceUrl = Field("http://127.0.0.1:8081", description="URL of the storage service.")
    transform_url: ServiceUrl = Field("http://127.0.0.1:8082", description="URL of the transform service.")
    jobs_at_once: int = Field(
        2, gt=0, description="Jobs that are given to transform nodes at once. Each node does one at a time."
    )
    jobs_host: str = Field("0.0.0.0", description="Address that `python -m jobs_service` listens on.")  # noqa: S104
    jobs_port: int = Field(8083, ge=0, le=65535, description="Port that `python -m jobs_service` listens on.")
