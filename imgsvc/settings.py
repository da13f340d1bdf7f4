"""Configuration of the embedded service."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServeSettings(BaseSettings):
    """Read from environment variables of the fields' names in upper case; options of `imgsvc serve` win."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address of `imgsvc serve`.")
    port: int = Field(8080, ge=0, le=65535, description="Port of `imgsvc serve`; 0 takes a free one.")
    data_dir: Path = Field(Path("var"), description="Folder of `imgsvc serve` for all that must outlast it.")
