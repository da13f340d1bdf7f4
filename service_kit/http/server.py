"""The HTTP server of every service. Requests in progress finish before it stops.

When aiohttp's own runner stops, it drops the rest of each upload at once, so the upload hangs until the shutdown
deadline and fails (seen with 3.14.5: RequestHandler.close() makes data_received() ignore its data). This runner waits
for uploads first.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from service_kit.errors import CannotStart, ServiceError
from service_kit.freezing import freeze
from service_kit.http._web_server import Server
from service_kit.http.lag import measure_lag
from service_kit.http.metrics import IN_PROGRESS
from service_kit.http.middlewares import Handler
from service_kit.http.request_log import RequestLogger, flush, remember_response
from service_kit.settings import CommonSettings

_MAX_LINE = 64 * 1024  # above paths.MAX_URL, so that _connections.py gets to explain the limit
_READ_AHEAD = 8 * 1024  # bytes of a body beyond which reading pauses; one read may have 256 kB
_CLOSE_SECONDS = 2.0  # for aiohttp to wait for handlers, and again after it has cancelled them
_HURRY_SECONDS = 0.1
_ARRIVING_SECONDS = 0.25  # from accepting a connection to reading its request
_BACKLOG = 2048  # as in gunicorn; with aiohttp's 128, half of 300 simultaneous connections had to retry after a second

logger = logging.getLogger(__name__)


class InFlight:
    """Counts the requests in progress."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self.stopping = False

    @web.middleware
    async def count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request while its handler runs; a middleware."""
        self._count += 1
        IN_PROGRESS.inc()
        self._none.clear()
        try:
            return await handler(request)
        finally:
            self._count -= 1
            IN_PROGRESS.dec()
            if not self._count:
                self._none.set()

    async def close_when_stopping(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Close connections after their response, so that clients connect to another process; a signal handler."""
        if self.stopping:
            response.force_close()

    async def finish(self, seconds: float) -> None:
        """Wait until all requests have finished, for at most `seconds`."""
        self.stopping = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), seconds)
        if self._count:
            logger.warning("%d requests did not finish in time", self._count)

    def give_up(self) -> None:
        """Stop waiting for requests."""
        self._none.set()


class Runner(web.AppRunner):
    """Runs an application. `cleanup` stops listening, lets requests finish, then shuts down the application."""

    def __init__(self, app: web.Application, settings: CommonSettings | None = None) -> None:
        self._settings = settings or CommonSettings()
        super().__init__(
            app,
            keepalive_timeout=self._settings.keepalive_seconds,
            access_log_class=RequestLogger,
            access_log=logger,  # ignored: RequestLogger has its own logger
            auto_decompress=False,  # uploads.py refuses compressed bodies, which may be bombs
            max_line_size=_MAX_LINE,
            read_bufsize=_READ_AHEAD,
            shutdown_timeout=_CLOSE_SECONDS,
            handler_cancellation=True,  # a render whose client has gone is useless
        )
        self._in_flight = InFlight()
        self._watching: list[asyncio.Task[None]] = []
        app.middlewares.insert(0, self._in_flight.count)
        app.on_response_prepare.extend((self._in_flight.close_when_stopping, remember_response))

    async def setup(self) -> None:
        """Start up the application. Raises CannotStart if a setting, a database or a folder is unusable."""
        try:
            await super().setup()
        except ServiceError as error:
            cause = error.__cause__
            because = f" ({str(cause) or type(cause).__name__})" if cause else ""
            raise CannotStart(f"cannot start: {error}{because}") from error
        except OSError as error:
            raise CannotStart(f"cannot start: {error}") from error
        except ValueError as error:  # a setting that only its user can judge
            raise CannotStart(str(error)) from error

    async def _make_server(self) -> web.Server:
        server = Server.like(await super()._make_server(), self._settings)
        self._watching = [asyncio.create_task(server.watch()), asyncio.create_task(measure_lag())]
        return server

    def _reg_site(self, site: web.BaseSite) -> None:
        site._backlog = _BACKLOG  # noqa: SLF001  # gunicorn's worker offers no other way to set it
        super()._reg_site(site)

    def hurry(self) -> None:
        """Stop without waiting for requests."""
        self._shutdown_timeout = _HURRY_SECONDS
        self._in_flight.give_up()

    async def cleanup(self) -> None:
        """Stop listening, wait for requests, then shut down the application."""
        for site in list(self.sites):
            await site.stop()
        await asyncio.sleep(_ARRIVING_SECONDS)
        await self._in_flight.finish(self._settings.grace_seconds)
        for task in self._watching:
            task.cancel()
        await super().cleanup()
        flush()


async def serve_until_stopped(
    runner: Runner, host: str, port: int, announce: Callable[[str], None], stopping: Callable[[], None]
) -> None:
    """Serve until SIGINT or SIGTERM. A second signal ends the wait for requests in progress.

    Calls `announce` with the URL once the service answers requests, and `stopping` when it stops. Raises CannotStart if
    the address is in use, or a database or folder is unusable.
    """
    stop = asyncio.Event()
    starting = asyncio.create_task(runner.setup())

    def on_signal() -> None:
        if stop.is_set():
            runner.hurry()
        stop.set()
        starting.cancel()  # no effect once the start has finished

    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, on_signal)
    try:
        await asyncio.wait([starting])
        if not stop.is_set():
            starting.result()
            announce(await listen(runner, host, port))
        await stop.wait()
        stopping()
    finally:
        starting.cancel()
        await asyncio.wait([starting])
        await runner.cleanup()


async def freeze_objects(_app: web.Application) -> None:
    """Exclude everything that exists after the start from garbage collection; the last startup hook.

    A full collection delays every request. Of 300 simultaneous requests, the last used to be read after 180 ms, and is
    now read after 80 ms. What the start itself needed goes back to the system: 5 MiB.
    """
    freeze()


async def listen(runner: Runner, host: str, port: int) -> str:
    """Listen on an address and return its URL. Raises CannotStart if that is not possible."""
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise CannotStart(f"cannot listen on {host}:{port}: {reason}; choose another port or host") from error
    address, actual_port = runner.addresses[0][:2]
    return f"http://[{address}]:{actual_port}" if ":" in address else f"http://{address}:{actual_port}"
