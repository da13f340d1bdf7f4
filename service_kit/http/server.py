"""The HTTP server of every service. Requests in flight finish before it stops.

aiohttp's own runner drops the rest of an upload as soon as it stops, so the upload hangs until the shutdown deadline
and fails (seen with 3.14.5: RequestHandler.close() makes data_received() ignore its data). This runner waits first.
"""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from service_kit.errors import CannotStart, ServiceError
from service_kit.http import _connections as connections
from service_kit.http.metrics import IN_PROGRESS
from service_kit.http.middlewares import Handler
from service_kit.http.request_log import RequestLogger, flush, remember_response

_MAX_LINE = 64 * 1024  # longer than paths.MAX_URL, so that bound_url can explain the limit
_FINISH_SECONDS = 20.0  # for requests to finish; together with twice the next, well below gunicorn's timeout (30 s)
_CLOSE_SECONDS = 2.0  # for aiohttp to wait for handlers, and again after it has cancelled them
_HURRY_SECONDS = 0.1
_ARRIVING_SECONDS = 0.25  # from accepting a connection until its request is read
_BACKLOG = 2048  # as gunicorn's; with aiohttp's 128, half of 300 simultaneous connections had to retry after a second

logger = logging.getLogger(__name__)


class InFlight:
    """Counts the requests in flight."""

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
        """Close kept connections, so that clients reconnect to another process; a signal handler."""
        if self.stopping:
            response.force_close()

    async def finish(self, seconds: float) -> None:
        """Wait until no request is in flight, at most `seconds`."""
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
            access_log_class=RequestLogger,
            access_log=logger,  # any logger: RequestLogger has its own
            auto_decompress=False,  # uploads.py refuses compressed bodies; unpacking them first is what a bomb wants
            max_line_size=_MAX_LINE,
            shutdown_timeout=_CLOSE_SECONDS,
            handler_cancellation=True,  # a render whose client has gone is useless
        )
        self._in_flight = InFlight()
        app.middlewares.insert(0, self._in_flight.count)
        app.on_response_prepare.extend((self._in_flight.close_when_stopping, remember_response))

    async def _make_server(self) -> web.Server:
        return connections.Server.like(await super()._make_server())

    def _reg_site(self, site: web.BaseSite) -> None:
        site._backlog = _BACKLOG  # noqa: SLF001  # gunicorn's worker offers no other way to set it
        super()._reg_site(site)

    def hurry(self) -> None:
        """Stop without waiting for requests."""
        self._shutdown_timeout = _HURRY_SECONDS
        self._in_flight.give_up()

    async def cleanup(self) -> None:
        """Stop."""
        for site in list(self.sites):
            await site.stop()
        await asyncio.sleep(_ARRIVING_SECONDS)
        await self._in_flight.finish(_FINISH_SECONDS)
        await super().cleanup()
        flush()


async def serve_until_stopped(
    runner: Runner, host: str, port: int, announce: Callable[[str], None], stopping: Callable[[], None]
) -> None:
    """Serve until SIGINT or SIGTERM. A second signal ends the wait for requests in flight.

    Calls `announce` with the URL once the service answers requests. Raises CannotStart if the address is in use, or a
    database or folder is unusable.
    """
    stop = asyncio.Event()
    starting = asyncio.create_task(_set_up(runner))

    def on_signal() -> None:
        if stop.is_set():
            runner.hurry()
        stop.set()
        starting.cancel()  # no effect once it has started

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
    """Exclude the objects of the start from garbage collection; a startup hook, to be the last one.

    A full collection delays every request: of 300 simultaneous ones, the last was read after 180 ms, now after 80.
    """
    gc.collect()
    gc.freeze()


async def _set_up(runner: Runner) -> None:
    try:
        await runner.setup()
    except ServiceError as error:
        because = f" ({error.__cause__})" if error.__cause__ else ""
        raise CannotStart(f"cannot start: {error}{because}") from error
    except OSError as error:
        raise CannotStart(f"cannot start: {error}") from error


async def listen(runner: Runner, host: str, port: int) -> str:
    """Listen on an address and return its URL. Raises CannotStart if the address is in use."""
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise CannotStart(f"cannot listen on {host}:{port}: {reason}; choose another port or host") from error
    bound, taken = runner.addresses[0][:2]
    return f"http://[{bound}]:{taken}" if ":" in bound else f"http://{bound}:{taken}"
