"""Reads the body of a request, which has to arrive in time, at a minimum rate, and within a limit."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.http import HttpProcessingError

from service_kit.errors import BadRequest, ContentTooLarge, RequestTimedOut, ServiceError
from service_kit.http._expect import let_continue
from service_kit.settings import CommonSettings

RATE = 1024
"""Bytes per second, in either direction. Slower than any network that people use, including GPRS."""


class Refused(HttpProcessingError):
    """A request that was refused while it arrived."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(code=error.status, message=error.detail)
        self.error = error


class Body:
    """The body of a request."""

    def __init__(self, request: web.Request, settings: CommonSettings) -> None:
        self._request = request
        self._content = request.content
        self._seconds = settings.upload_seconds
        self._stall = settings.upload_stall_seconds

    async def chunks(self, limit: int, what: str = "the form") -> AsyncIterator[bytes]:
        """The bytes, as they arrive.

        Raises RequestTimedOut if they take longer than UPLOAD_SECONDS, or if the client lets the service wait for
        UPLOAD_STALL_SECONDS, minus what it has made up for by sending faster than RATE since. Raises ContentTooLarge
        for more than `limit` bytes, before the first of them if the client has announced them, and BadRequest if it
        hangs up or breaks its transfer encoding.
        """
        self.check_length(limit, what)
        await let_continue(self._request)
        clock = asyncio.get_running_loop().time
        deadline, patience, received = clock() + self._seconds, self._stall, 0
        while True:
            began = clock()
            try:
                async with asyncio.timeout_at(min(deadline, began + patience)):
                    chunk = await self._content.readany()
            except TimeoutError as error:
                raise RequestTimedOut(self._late(overall=clock() >= deadline)) from error
            except Refused as error:
                raise error.error from None
            except (web.RequestPayloadError, HttpProcessingError) as error:
                raise BadRequest(
                    "the body is incomplete, or does not match its Transfer-Encoding header; send it again"
                ) from error
            if not chunk:
                return
            received += len(chunk)
            if received > limit:
                raise ContentTooLarge(f"{what} is larger than {limit} bytes")
            patience = min(self._stall, patience - (clock() - began) + len(chunk) / RATE)
            yield chunk
            del chunk  # the client may take long to send the next
            await asyncio.sleep(0)  # there may be more already, and then reading it does not wait

    def check_length(self, limit: int, what: str) -> None:
        """Raise ContentTooLarge if the client has announced more than `limit` bytes. The error names `what`."""
        if (self._request.content_length or 0) > limit:
            raise ContentTooLarge(f"{what} is larger than {limit} bytes")

    def _late(self, *, overall: bool) -> str:
        if overall:
            return f"the body did not arrive within {self._seconds:g} s"
        return f"the body came to a halt, or at less than {RATE} bytes per second, for {self._stall:g} s; send it again"
