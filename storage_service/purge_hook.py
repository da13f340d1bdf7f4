"""The purge hook: tells a CDN that an image was deleted. Only an operator can set its URL."""

import asyncio
import logging
import time
from typing import Self

import aiohttp

from service_kit.errors import CannotStart
from service_kit.http.purges import surrogate_key
from service_kit.settings import secret_in
from service_kit.threads import in_thread
from service_kit.urls import redacted
from storage_service.metrics import PURGE_HOOKS
from storage_service.settings import StorageSettings

_SECONDS = 5.0
_AT_ONCE = 4
"""Requests at the same time. CDNs limit their number."""
_LEAST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds without requests after one that failed."""

logger = logging.getLogger(__name__)


class PurgeHook:
    """Sends the request in PURGE_HOOK_URL for an image."""

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._name = redacted(settings.purge_hook_url)
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._silent_until = 0.0

    async def __aenter__(self) -> Self:
        """Raises CannotStart if the token is unreadable."""
        await in_thread(self._token)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def purge(self, image_id: str) -> bool:
        """Purge an image. Returns whether the CDN confirmed. After a failure, all wait before the next request."""
        async with self._free:
            if time.monotonic() < self._silent_until:
                return False
            pause = await self._request(image_id)
            if pause is not None:
                self._silent_until = time.monotonic() + pause
        PURGE_HOOKS.labels("confirmed" if pause is None else "failed").inc()
        return pause is None

    async def _request(self, image_id: str) -> float | None:
        """None if the CDN confirmed, otherwise how many seconds to wait."""
        settings = self._settings
        body = _filled(settings.purge_hook_body, image_id)
        try:
            headers = await self._headers(body)
            async with self._session.request(
                settings.purge_hook_method,
                _filled(settings.purge_hook_url, image_id),
                data=body.encode() or None,
                headers=headers,
                allow_redirects=False,  # the operator named this address, and no other
            ) as response:
                status, after = response.status, response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError, CannotStart, ValueError) as error:
            logger.warning("%s did not confirm the purge of image %s: %s", self._name, image_id, type(error).__name__)
            return _LEAST_PAUSE
        if status < 300:  # noqa: PLR2004
            return None
        logger.warning("%s answered the purge of image %s with %d", self._name, image_id, status)
        return min(float(after), _LONGEST_PAUSE) if after.isdecimal() and after != "0" else _LEAST_PAUSE

    async def _headers(self, body: str) -> dict[str, str]:
        # Read anew each time, so that a new token needs no restart.
        token = await in_thread(self._token)
        headers = {"Content-Type": "application/json"} if body else {}
        if token:
            name = self._settings.purge_hook_token_header
            headers[name] = f"Bearer {token}" if name.lower() == "authorization" else token
        return headers

    def _token(self) -> str | None:
        return secret_in("PURGE_HOOK_TOKEN_FILE", self._settings.purge_hook_token_file)


def _filled(template: str, image_id: str) -> str:
    return template.replace("{key}", surrogate_key(image_id)).replace("{image_id}", image_id)
