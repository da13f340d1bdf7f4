"""`python -m transform_service`: the service alone, on its own port. gunicorn calls `application`."""

from aiohttp import web

from service_kit.logging import configure_logging
from transform_service.app import create_app
from transform_service.settings import TransformSettings


async def application() -> web.Application:
    """The app with settings from the environment."""
    settings = TransformSettings()
    configure_logging(settings.log_level)
    return create_app(settings)


if __name__ == "__main__":
    configured = TransformSettings()
    web.run_app(application(), host=configured.transform_host, port=configured.transform_port)
