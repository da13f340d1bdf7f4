"""`python -m storage_service`: the service alone, on its own port. gunicorn calls `application`."""

import logging
import sys

import uvloop

from service_kit.logging import configure_logging
from service_kit.server import CannotStart, Runner, serve_until_stopped
from storage_service.app import create_app
from storage_service.settings import StorageSettings


async def application() -> Runner:
    """The app with settings from the environment, in the runner that gunicorn's worker starts."""
    settings = StorageSettings()
    configure_logging(settings.log_level, settings.log_format)
    return Runner(create_app(settings))


async def _main() -> None:
    configured = StorageSettings()
    log = logging.getLogger("storage_service")
    await serve_until_stopped(
        await application(),
        configured.storage_host,
        configured.storage_port,
        announce=lambda url: log.info("listening on %s", url),
        stopping=lambda: log.info("stopping"),
    )


if __name__ == "__main__":
    try:
        uvloop.run(_main())
    except CannotStart as error:
        sys.exit(f"storage_service: {error}")
