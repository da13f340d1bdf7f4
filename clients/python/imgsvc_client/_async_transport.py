"""Sends requests with aiohttp."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
from yarl import URL

from imgsvc_client import _forms as forms
from imgsvc_client import _requests as requests
from imgsvc_client.errors import ApiError, ConnectionFailed


class AsyncTransport:
    """Connections to a service at `base`."""

    def __init__(self, base: str, key: str | None, retries: int, timeout: float) -> None:
        self._base = base
        self._headers = requests.common_headers(key)
        self._retries = retries
        self._timeout = aiohttp.ClientTimeout(sock_connect=timeout, sock_read=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()
            self._session = None

    async def send(self, request: requests.Request, progress: forms.Progress | None = None) -> bytes:
        """The body of the response, after as many attempts as it takes. Raises ApiError and ConnectionFailed."""
        for attempt in range(self._retries + 1):
            try:
                return await self._try(request, progress)
            except ApiError as error:
                if requests.is_done(request, error, attempt):
                    return b""
                if attempt == self._retries or not requests.may_repeat(request, error):
                    raise
                await asyncio.sleep(requests.pause(attempt, error))
            except (aiohttp.ClientError, TimeoutError) as error:
                if attempt == self._retries or not request.repeats:
                    raise ConnectionFailed(f"{self._base} does not answer: {error!r}") from error
                await asyncio.sleep(requests.pause(attempt, error))
        raise AssertionError

    async def _try(self, request: requests.Request, progress: forms.Progress | None) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, auto_decompress=True)
        headers, body = {**self._headers, **request.headers}, request.body
        sent: bytes | AsyncIterator[bytes] | None = body if not isinstance(body, forms.Upload) else None
        if isinstance(body, forms.Upload):
            headers |= body.headers
            sent = _in_threads(body.counted(progress))
        url = URL(self._base + request.path, encoded=True)
        async with self._session.request(
            request.method, url, data=sent, headers=headers, allow_redirects=False
        ) as response:
            return requests.checked(response.status, response.headers, await response.read())


async def _in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Read a file without stopping the event loop."""
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk
