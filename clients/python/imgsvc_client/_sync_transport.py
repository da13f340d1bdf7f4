"""Sends requests with urllib3."""

import time
from collections.abc import Iterator

import urllib3

from imgsvc_client import _forms as forms
from imgsvc_client import _requests as requests
from imgsvc_client.errors import ApiError, ConnectionFailed


class SyncTransport:
    """Connections to a service at `base`."""

    def __init__(self, base: str, key: str | None, retries: int, timeout: float) -> None:
        self._base = base
        self._headers = requests.common_headers(key)
        self._retries = retries
        self._pool = urllib3.PoolManager(maxsize=16, timeout=urllib3.Timeout(timeout), retries=False)

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    def send(self, request: requests.Request, progress: forms.Progress | None = None) -> bytes:
        """The body of the response, after as many attempts as it takes. Raises ApiError and ConnectionFailed."""
        for attempt in range(self._retries + 1):
            try:
                return self._try(request, progress)
            except ApiError as error:
                if requests.is_done(request, error, attempt):
                    return b""
                if attempt == self._retries or not requests.may_repeat(request, error):
                    raise
                time.sleep(requests.pause(attempt, error))
            except urllib3.exceptions.HTTPError as error:
                if attempt == self._retries or not request.repeats:
                    raise ConnectionFailed(f"{self._base} does not answer: {error}") from error
                time.sleep(requests.pause(attempt, error))
        raise AssertionError

    def _try(self, request: requests.Request, progress: forms.Progress | None) -> bytes:
        headers, body = {**self._headers, **request.headers}, request.body
        sent: bytes | Iterator[bytes] | None = body if not isinstance(body, forms.Upload) else None
        if isinstance(body, forms.Upload):
            headers |= body.headers
            sent = body.counted(progress)
        url = self._base + request.path
        response = self._pool.request(request.method, url, body=sent, headers=headers, redirect=False)
        return requests.checked(response.status, response.headers, response.data)
