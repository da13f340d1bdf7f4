"""Receivers of events: sends them one, signed as in Standard Webhooks, and says what came back."""

import asyncio
import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

import aiohttp
from pydantic import BaseModel, ConfigDict
from yarl import URL

from service_kit.errors import BadRequest
from service_kit.http.address_guard import AddressRefused, Network, guarded_connector, is_allowed

SECONDS = 10.0
"""How long a receiver may take to answer."""
_PORTS = range(1, 65536)
_IDLE_SECONDS = 2.0
"""Less than servers keep a connection (Node.js 5 s): an event that is sent just when one ends would count as failed."""
_LONGEST_URL = 2048
_ANSWER_BYTES, _ANSWER_SECONDS = 512, 2.0
"""How much of a refusal is read and kept, and how long it may take."""
_HEADERS = {"User-Agent": "imgsvc", "Content-Type": "application/json", "Accept-Encoding": "identity"}
_GONE = 410


class Webhook(BaseModel):
    """A receiver, and how sending to it goes. Times are milliseconds since 1970."""

    model_config = ConfigDict(frozen=True)

    webhook_id: str
    url: str
    events: str = ""
    """The types that it wants, separated by spaces; empty: all."""
    space: str | None = None
    """The only space whose images it is told about; None: all."""
    created_at: int
    version: int = 1
    """Of its secret."""
    previous_until: int = 0
    """Until when the secret before this one is used too."""
    failures: int = 0
    """How many attempts have failed since the last success."""
    failing_since: int | None = None
    paused_until: int = 0
    """When the next attempt is allowed after one that failed."""
    disabled_at: int | None = None
    reason: str = ""
    """Why it is disabled."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for an event."""

    status: int
    """The HTTP status; 0 without an answer."""
    reason: str
    """Why it counts as a failure; empty if the receiver has confirmed."""
    text: str = ""
    """The first bytes of a refusal."""
    milliseconds: int = 0

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no events any more."""
        return self.status == _GONE


def derived_secret(master: bytes, webhook_id: str, version: int) -> bytes:
    """The secret of a webhook. The database does not have it, nor anything from which to compute it."""
    return hmac.digest(master, f"imgsvc webhook secret {version} of {webhook_id}".encode(), hashlib.sha256)


def shown(secret: bytes) -> str:
    """A secret as receivers are given it."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def signature(secret: bytes, event_id: str, timestamp: int, body: str) -> str:
    """The signature of an event that is sent at `timestamp` (seconds since 1970)."""
    signed = hmac.digest(secret, f"{event_id}.{timestamp}.{body}".encode(), hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


class Receivers:
    """Sends events. Connects to public addresses, and those in `networks`, and follows no redirects."""

    def __init__(self, master: bytes, networks: tuple[Network, ...]) -> None:
        self._master = master
        self._networks = networks

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=guarded_connector(_PORTS, self._networks, idle_seconds=_IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers=_HEADERS,
            trust_env=False,
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def secret(self, webhook: Webhook) -> str:
        """The current secret of a webhook, as it is shown."""
        return shown(derived_secret(self._master, webhook.webhook_id, webhook.version))

    def check(self, text: str) -> str:
        """The URL, if it may be one of a receiver. Raises BadRequest, which says what is wrong."""
        if " " in text or not text.isprintable():
            raise BadRequest("the URL has a space, a line break or a control character; remove it, or write it as %XX")
        try:
            url = URL(text)
            host = url.host
        except ValueError:
            raise BadRequest(f"{text[:200]!r} is not a valid URL; write it as https://host/path") from None
        if url.scheme not in {"http", "https"} or not host or len(text) > _LONGEST_URL:
            raise BadRequest(f"{text[:200]!r} is not the URL of a receiver; write it as https://host/path")
        if url.port == 0:
            raise BadRequest("the URL has the port 0; use the one at which the receiver listens, from 1 to 65535")
        if url.user or url.password:
            raise BadRequest("the URL has a user or a password, which lists would show; check the signature instead")
        try:
            address = ip_address(host)
        except ValueError:
            return text
        if not is_allowed(address, self._networks):
            raise BadRequest(
                f"{host} is not a public address; use another one, or add its network to WEBHOOK_ALLOWED_NETWORKS"
            )
        return text

    async def send(self, webhook: Webhook, event_id: str, body: str) -> Answer:
        """Send an event once. Raises nothing: whatever goes wrong is in the answer."""
        started = time.monotonic()
        status, reason, text = await self._send(webhook, event_id, body)
        return Answer(status, reason, text, round((time.monotonic() - started) * 1000))

    async def _send(self, webhook: Webhook, event_id: str, body: str) -> tuple[int, str, str]:
        headers = self._signed(webhook, event_id, body)
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._session.post(webhook.url, data=body.encode(), headers=headers, allow_redirects=False) as response,
            ):
                return await _judged(response)
        except TimeoutError:
            return 0, f"the receiver did not answer within {SECONDS:g} s", ""
        except aiohttp.ClientConnectorError as error:
            return 0, _unreachable(error), ""
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return 0, f"the receiver did not send a valid HTTP response ({type(error).__name__})", ""

    def _signed(self, webhook: Webhook, event_id: str, body: str) -> dict[str, str]:
        now = int(time.time())
        versions = [webhook.version]
        if webhook.previous_until > now * 1000:
            versions.append(webhook.version - 1)
        secrets = [derived_secret(self._master, webhook.webhook_id, version) for version in versions]
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(now),
            "webhook-signature": " ".join(signature(secret, event_id, now, body) for secret in secrets),
        }


def _unreachable(error: aiohttp.ClientConnectorError) -> str:
    """Why there is no connection to a receiver, and what to do."""
    if isinstance(error.os_error, AddressRefused):
        return "the URL leads to an address that is not public (WEBHOOK_ALLOWED_NETWORKS)"
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the host name {error.host} was not found; check the URL, and the name servers of this machine"
        case aiohttp.ClientConnectorCertificateError():
            why = getattr(error.os_error, "verify_message", "") or "it is not valid"
            return f"the certificate of {error.host} is not trusted ({why}); use one of a public certificate authority"
        case aiohttp.ClientConnectorSSLError():
            return f"{error.host}:{error.port} does not speak TLS as it should; check its port, or use http://"
    return f"{error.host}:{error.port} accepts no connection; check that the receiver runs, its port and firewalls"


async def _judged(response: aiohttp.ClientResponse) -> tuple[int, str, str]:
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004
        return status, "", ""
    hint = ", and events do not follow redirects" if 300 <= status < 400 else ""  # noqa: PLR2004
    return status, f"the receiver answered {status}{hint}", await _beginning(response)


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """The first bytes of the body. What is left is not read."""
    taken = bytearray()
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            while len(taken) < _ANSWER_BYTES and (piece := await response.content.read(_ANSWER_BYTES - len(taken))):
                taken += piece
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    finally:
        response.close()
    return taken.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
