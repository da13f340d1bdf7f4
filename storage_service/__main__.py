"""`python -m storage_service`: the service alone, on its own port. gunicorn calls `application`."""

from aiohttp import web

from service_kit.logging import configure_logging
from storage_service.app import create_app
from storage_service.settings import StorageSettings


async def application() -> web.Application:
    """The app with settings from the environment."""
    settings = StorageSettings()
    configure_logging(settings.log_level)
    return create_app(settings)


if __name__ == "__main__":
    configured = StorageSettings()
    web.run_app(application(), host=configured.storage_host, port=configured.storage_port)
