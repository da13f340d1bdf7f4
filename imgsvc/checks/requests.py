"""Requests to a service that is examined: everything of the response counts, not only its body."""

import contextlib
import http.client
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3

_SECONDS = 10.0
_HUGE = 1 << 40
"""More than any service accepts."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """Its body; None if that is not JSON."""
        with contextlib.suppress(ValueError):
            return json.loads(self.body)
        return None


class Examined:
    """A service at a URL."""

    def __init__(self, url: str, key: str | None) -> None:
        self.base = url.rstrip("/").removesuffix("/v1")
        self.key = key
        self.parts = urlsplit(self.base)
        self._pool = urllib3.PoolManager(timeout=_SECONDS, retries=False)

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return self.parts.hostname in {"localhost", "::1"} or str(self.parts.hostname).startswith("127.")

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str = "image/png",
        with_key: bool = True,
    ) -> Response:
        """Send a request. Raises HTTPError (urllib3) if the service does not respond."""
        headers = {"User-Agent": "imgsvc-doctor"}
        if self.key and with_key:
            headers["Authorization"] = f"Bearer {self.key}"
        if body is not None:
            headers["Content-Type"] = content_type
        started = time.perf_counter()
        answer = self._pool.request(method, self.base + path, body=body, headers=headers, redirect=False)
        return Response(answer.status, answer.headers, answer.data, time.perf_counter() - started)

    def promise(self, path: str) -> Response:
        """Begin an upload of a terabyte, and wait for the answer. Raises OSError or HTTPException without one."""
        secure = self.parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self.parts.hostname or "", self.parts.port, timeout=_SECONDS)
        try:
            connection.putrequest("POST", self.parts.path + path)
            connection.putheader("Content-Type", "image/png")
            connection.putheader("Content-Length", str(_HUGE))
            if self.key:
                connection.putheader("Authorization", f"Bearer {self.key}")
            connection.endheaders()
            answer = connection.getresponse()
            return Response(answer.status, dict(answer.getheaders()), answer.read(), 0.0)
        finally:
            connection.close()

    def certificate(self) -> Mapping[str, Any]:
        """The certificate of its name. Raises OSError, which includes those that are not valid."""
        import socket  # noqa: PLC0415  # only https needs it

        port = self.parts.port or 443
        host = self.parts.hostname or ""
        with (
            socket.create_connection((host, port), _SECONDS) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure,
        ):
            return secure.getpeercert() or {}
