"""The HTTP server of every service: long URLs reach our own 414, and a stop lets requests finish.

aiohttp's own runner drops what is still to come of an upload as soon as it is told to stop, so the
upload hangs until the shutdown deadline and fails (seen with 3.14.5: RequestHandler.close() makes
data_received() ignore its data). So this runner waits for the requests first.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from service_kit import connections
from service_kit.access import AccessLogger, remember
from service_kit.access import settle as settle_requests
from service_kit.errors import ServiceError
from service_kit.metrics import IN_PROGRESS
from service_kit.middlewares import Handler

_MAX_LINE = 64 * 1024  # longer than paths.MAX_URL, so that bound_url explains it
_FINISH_SECONDS = 20.0  # for requests to finish; with twice the next well below gunicorn's patience (30 s)
_CLOSE_SECONDS = 2.0  # for aiohttp to wait for handlers, and again once it has cancelled them
_HURRY_SECONDS = 0.1
_ARRIVING_SECONDS = 0.25  # from a connection that was just taken until its request is read
_BACKLOG = 2048  # gunicorn's; with aiohttp's 128, of 300 connections at once half were tried again only a second later

logger = logging.getLogger(__name__)


class CannotStart(Exception):
    """Something in the surroundings keeps a service from starting; the text says what to change."""


class InFlight:
    """Counts the requests that are being handled."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self.stopping = False

    @web.middleware
    async def count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request as long as its handler runs; a middleware."""
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
        """Tell clients that keep connections to open a new one, to another process; a signal handler."""
        if self.stopping:
            response.force_close()

    async def finish(self, seconds: float) -> None:
        """Wait until no request is being handled, at most `seconds`."""
        self.stopping = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), seconds)
        if self._count:
            logger.warning("%d requests did not finish in time", self._count)

    def give_up(self) -> None:
        """End the wait."""
        self._none.set()


class Runner(web.AppRunner):
    """Runs an application; `cleanup` stops listening, lets requests finish, then ends the application."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app,
            access_log_class=AccessLogger,
            access_log=logger,  # any: AccessLogger has its own
            auto_decompress=False,  # uploads.py refuses packed bodies; unpacking them first is what a bomb wants
            max_line_size=_MAX_LINE,
            shutdown_timeout=_CLOSE_SECONDS,
            handler_cancellation=True,  # a client that is gone needs no render
        )
        self._in_flight = InFlight()
        app.middlewares.insert(0, self._in_flight.count)
        app.on_response_prepare.extend((self._in_flight.close_when_stopping, remember))

    async def _make_server(self) -> web.Server:
        return connections.Server.like(await super()._make_server())

    def _reg_site(self, site: web.BaseSite) -> None:
        site._backlog = _BACKLOG  # noqa: SLF001  # gunicorn's worker makes its sites without a say in it
        super()._reg_site(site)

    def hurry(self) -> None:
        """Stop without regard to requests."""
        self._shutdown_timeout = _HURRY_SECONDS
        self._in_flight.give_up()

    async def cleanup(self) -> None:
        """Stop."""
        for site in list(self.sites):
            await site.stop()
        await asyncio.sleep(_ARRIVING_SECONDS)
        await self._in_flight.finish(_FINISH_SECONDS)
        await super().cleanup()
        settle_requests()


async def serve_until_stopped(
    runner: Runner, host: str, port: int, announce: Callable[[str], None], stopping: Callable[[], None]
) -> None:
    """Listen, and serve until SIGINT or SIGTERM; a second one ends the wait for requests that are under way.

    `announce` is told the URL once requests are answered.

    Raises CannotStart when the address is taken, or a database or folder cannot be used.
    """
    stop = asyncio.Event()
    starting = asyncio.create_task(_set_up(runner))

    def on_signal() -> None:
        if stop.is_set():
            runner.hurry()
        stop.set()
        starting.cancel()  # which changes nothing once it has started

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


async def settle(_app: web.Application) -> None:
    """Leave what was made at the start out of garbage collections; a startup hook, to be the last one.

    A collection of all that is there holds up every request: of 300 that came at once, the last were read after 180 ms,
    and after 80 with this.
    """
    gc.collect()
    gc.freeze()


async def _set_up(runner: Runner) -> None:
    try:
        await runner.setup()
    except ServiceError as error:
        raise CannotStart(f"cannot start: {error} ({error.__cause__})") from error
    except OSError as error:
        raise CannotStart(f"cannot start: {error}") from error


async def listen(runner: Runner, host: str, port: int) -> str:
    """Listen on an address; the URL that it answers under. Raises CannotStart when the address is taken."""
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        reason = error.strerror or str(error)
        raise CannotStart(f"cannot listen on {host}:{port} ({reason}); choose another PORT or HOST") from error
    bound, taken = runner.addresses[0][:2]
    return f"http://[{bound}]:{taken}" if ":" in bound else f"http://{bound}:{taken}"
