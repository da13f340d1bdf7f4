"""`python -m transform_service`: the service alone, on its own port. gunicorn calls `application`."""

import logging

import uvloop

from service_kit.logging import configure_logging
from service_kit.server import Runner, serve_until_stopped
from transform_service.app import create_app
from transform_service.settings import TransformSettings


async def application() -> Runner:
    """The app with settings from the environment, in the runner that gunicorn's worker starts."""
    settings = TransformSettings()
    configure_logging(settings.log_level, settings.log_format)
    return Runner(create_app(settings))


async def _main() -> None:
    configured = TransformSettings()
    log = logging.getLogger("transform_service")
    await serve_until_stopped(
        await application(),
        configured.transform_host,
        configured.transform_port,
        announce=lambda url: log.info("listening on %s", url),
        stopping=lambda: log.info("stopping"),
    )


if __name__ == "__main__":
    uvloop.run(_main())
