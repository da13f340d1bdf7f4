"""Both services in one application: one port, one process for HTTP, no HTTP between the services."""

from aiohttp import web

import storage_service.app
import transform_service.app
from service_kit import middlewares, paths, server, tracing, worker
from service_kit.images import Located
from service_kit.purges import KEYS_HEADER
from storage_service import handlers as storage
from storage_service import validation
from storage_service.settings import StorageSettings
from transform_service import handlers as transform
from transform_service import render_pool
from transform_service.settings import TransformSettings


class LibraryLocator:
    """A Locator that asks the library in this process."""

    base_url = ""
    """Where this very service answers, for blobs that are neither files nor have URLs (`memory://`)."""

    def __init__(self, app: web.Application) -> None:
        self._app = app

    async def locate(self, image_id: str) -> Located:
        """See Locator."""
        return await self._app[storage.LIBRARY].locate(image_id, self.base_url + paths.image_url(image_id))

    async def confirm(self, image_id: str) -> None:
        """See Locator."""
        await self._app[storage.LIBRARY].find(image_id)


LOCATOR = web.AppKey("LOCATOR", LibraryLocator)


def create_app(storage_settings: StorageSettings, transform_settings: TransformSettings) -> web.Application:
    """An application that answers the whole HTTP contract."""
    app = web.Application()
    middlewares.setup(app)
    tracing.setup(app, "imgsvc")
    storage_service.app.setup(app, storage_settings)
    app[LOCATOR] = LibraryLocator(app)
    transform_service.app.setup(app, transform_settings, app[LOCATOR])
    both = (*storage.routes(), *transform.routes())
    app.add_routes(route for route in both if (route.method, route.path) != ("GET", paths.IMAGE))
    app.router.add_get(paths.IMAGE, _original_or_variant)
    app.on_startup.append(server.settle)
    app.on_response_prepare.append(_keep_surrogate_keys)
    worker.preload([validation.PRELOAD, render_pool.PRELOAD])
    return app


async def _keep_surrogate_keys(_request: web.Request, response: web.StreamResponse) -> None:
    """They are for a cache in front (varnish/purge.vcl), of which there is none."""
    response.headers.pop(KEYS_HEADER, None)


async def _original_or_variant(request: web.Request) -> web.StreamResponse:
    """The one path that both services serve: a query asks for a variant. nginx decides by the same rule."""
    handler = transform.stored_variant if "?" in request.raw_path else storage.original
    return await handler(request)
