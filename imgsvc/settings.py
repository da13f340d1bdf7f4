"""Settings of `imgsvc serve`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServeSettings(BaseSettings):
    """Settings from environment variables with the fields' names in upper case; options of `imgsvc serve` win."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address that `imgsvc serve` listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port that `imgsvc serve` listens on. 0: any free port.")
    data_dir: Path = Field(Path("var"), description="Folder of `imgsvc serve` for everything that must outlast it.")
