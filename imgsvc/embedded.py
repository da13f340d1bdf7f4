"""Both services in one application: one port, one process for HTTP, and no HTTP between the services."""

import fcntl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import web

import jobs_service.app
import pages.routes
import storage_service.app
import transform_service.app
from imaging.levels import Level
from imaging.locator import Located, NewVariant, Variant
from imaging.looks import Look
from imaging.tasks import READ_HEADER
from imgsvc import counting
from imgsvc.settings import ServeSettings
from jobs_service.dispatcher import Dispatcher
from service_kit.errors import CannotStart
from service_kit.http import access, middlewares, paths, queries, server, tracing
from service_kit.http.health import probe_routes
from service_kit.http.middlewares import Handler
from service_kit.http.problems import PATH_PREFIX, REFUSED_HEADER
from service_kit.http.purges import KEYS_HEADER, LIFETIME_HEADER, UNTIL_HEADER, VIEWERS_HEADER
from service_kit.processes import worker
from service_kit.spool import Spooled
from service_kit.threads import in_thread
from storage_service.caches import PurgeOrder
from storage_service.http import handlers as storage
from storage_service.http import jobs as storage_jobs
from storage_service.http import names as storage_names
from storage_service.http import receiving
from storage_service.settings import StorageSettings
from transform_service.http import handlers as transform
from transform_service.scheduling.renderers import RENDER
from transform_service.settings import TransformSettings


class LibraryLocator:
    """A Locator that uses the library in this process."""

    base_url = ""
    """The URL of this service. Only blobs that have neither files nor URLs (`memory://`) are read from there."""

    def __init__(self, app: web.Application) -> None:
        self._app = app

    async def locate(self, image_id: str) -> Located:
        """See Locator."""
        return await self._app[receiving.LIBRARY].locate(image_id, self.base_url + paths.image_url(image_id))

    async def named(self, name: str) -> str:
        """See Locator."""
        return (await self._app[storage_names.NAMES].find(name)).image_id

    async def confirm(self, image_id: str) -> str:
        """See Locator."""
        return (await self._app[receiving.LIBRARY].find_whole(image_id)).visibility

    async def keep_look(self, image_id: str, look: Look) -> None:
        """See Locator."""
        await self._app[receiving.LIBRARY].keep_look(image_id, look)

    async def keep_level(self, image_id: str, side: int, file: Path) -> None:
        """See Locator."""
        async with self._spooled(file) as level:
            await self._app[receiving.LIBRARY].keep_level(image_id, side, level)

    async def drop_level(self, image_id: str, level: Level) -> None:
        """See Locator."""
        await self._app[receiving.LIBRARY].drop_level(image_id, level.side, level.sha256)

    async def variant_url(self, image_id: str, key: str) -> str:
        """See Locator."""
        return await self._app[receiving.LIBRARY].variant_url(image_id, key)

    async def keep_variant(self, image_id: str, variant: NewVariant) -> None:
        """See Locator."""
        async with self._spooled(variant.file) as file:
            await self._app[receiving.LIBRARY].keep_variant(image_id, variant, file)

    async def note_variants(self, keys: Sequence[str]) -> None:
        """See Locator."""
        await self._app[receiving.LIBRARY].note_variants(keys)

    async def drop_variant(self, image_id: str, variant: Variant) -> None:
        """See Locator."""
        await self._app[receiving.LIBRARY].drop_variant(image_id, variant.key, variant.sha256)

    @asynccontextmanager
    async def _spooled(self, file: Path) -> AsyncIterator[Spooled]:
        content = await in_thread(file.read_bytes)
        async with self._app[receiving.SPOOL].writer(len(content), "the file") as writer:
            await writer.write(content)
            yield await writer.finish()


class OwnCaches:
    """What the transform service in this process keeps of images. The storage service purges it."""

    def __init__(self, app: web.Application) -> None:
        self._app = app

    async def purge(self, order: PurgeOrder) -> bool:
        """See PurgeableCache."""
        if order.content and transform.RESULTS in self._app:  # otherwise it is still starting
            await transform.forget_content(self._app, order.content)
        return True


LOCATOR = web.AppKey("LOCATOR", LibraryLocator)


def create_app(
    settings: ServeSettings, storage_settings: StorageSettings, transform_settings: TransformSettings
) -> web.Application:
    """An application with the whole HTTP contract."""
    app = web.Application()
    middlewares.setup(app)
    tracing.setup(app, "imgsvc")
    access.setup(app, storage_settings, settings.host, behind_nginx=False)

    async def data_dir(_app: web.Application) -> AsyncIterator[None]:
        with _exclusive(settings):
            yield

    app.cleanup_ctx.append(data_dir)
    storage_service.app.setup(app, storage_settings, [OwnCaches(app)])
    app[LOCATOR] = LibraryLocator(app)
    transform_service.app.setup(app, transform_settings, app[LOCATOR])
    prefix = app[PATH_PREFIX] = storage_settings.path_prefix
    both = (*storage_service.app.public_routes(), *transform.routes(), *pages.routes.routes(prefix))
    shared = {
        ("GET", prefix + paths.IMAGE): (storage.original, transform.stored_variant),
        ("GET", prefix + paths.NAME): (storage_names.named_original, transform.named_variant),
    }
    below = (web.RouteDef(route.method, prefix + route.path, route.handler, route.kwargs) for route in both)
    app.add_routes(route for route in below if (route.method, route.path) not in shared)
    for (_, path), (original, variant) in shared.items():
        app.router.add_get(path, _by_query(original, variant))
    app.cleanup_ctx.append(_dispatching)
    app.add_routes(probe_routes("imgsvc"))
    app.on_startup.append(server.freeze_objects)
    app.on_response_prepare.append(_remove_headers_for_varnish)
    counting.setup(app)
    worker.preload([READ_HEADER, RENDER])
    return app


async def _dispatching(app: web.Application) -> AsyncIterator[None]:
    async with jobs_service.app.running(Dispatcher(app[storage_jobs.JOBS], app[transform.JOBS], at_once=1)):
        yield


@contextmanager
def _exclusive(settings: ServeSettings) -> Iterator[None]:
    """Claim the data folder, so that only one service at a time writes to it."""
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise CannotStart(f"cannot write to DATA_DIR {folder}: {error.strerror}; choose another DATA_DIR") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotStart(f"another imgsvc uses DATA_DIR {folder}; stop it, or choose another DATA_DIR") from error
        yield


async def _remove_headers_for_varnish(_request: web.Request, response: web.StreamResponse) -> None:
    """Remove the headers that only Varnish reads (purge.vcl, storing.vcl): there is none here."""
    for header in (KEYS_HEADER, LIFETIME_HEADER, UNTIL_HEADER, VIEWERS_HEADER, REFUSED_HEADER):
        response.headers.pop(header, None)


def _by_query(original: Handler, variant: Handler) -> Handler:
    """A handler of a path that both services share, by its query. nginx uses the same rule."""

    async def handle(request: web.Request) -> web.StreamResponse:
        query = request.raw_path.partition("?")[2]
        return await (original if queries.is_for_original(query) else variant)(request)

    return handle
