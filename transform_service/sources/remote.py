"""Images on other servers, by URL. Limits addresses to public ones, and time, bytes and redirects."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import IPv6Address
from pathlib import Path, PurePosixPath

import aiohttp
from yarl import URL

from service_kit.access import ANYBODY, Guard, Identity, Scope, is_among
from service_kit.cache_control import Caching
from service_kit.errors import (
    BadGateway,
    BadRequest,
    Forbidden,
    GatewayTimeout,
    ServiceError,
    Unauthorized,
    Unavailable,
)
from service_kit.http.address_guard import AddressRefused, guarded_connector, is_unknown
from service_kit.spool import Spooled, SpoolWriter
from transform_service.scheduling.renderers import RenderSource
from transform_service.sources.base import Source, SourceImage, source

_CACHE_CONTROL = "public, max-age=3600, stale-while-revalidate=86400"
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = {"User-Agent": "imgsvc", "Accept": "image/*", "Accept-Encoding": "identity"}
_MAX_AUTHORITY = 320
"""Characters. A host has at most 253; encoding it (IDNA) takes time with the square of its length."""
_AUTHORITY = re.compile(r"(?:[^:/?#]*:)?//([^/?#]*)")
_LABEL = "[0-9a-z_](?:[0-9a-z_-]{0,61}[0-9a-z_])?"
_NAME = re.compile(rf"(?=.{{1,254}}\Z){_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)
"""A host name (RFC 1123, section 2.1), or an IPv4 address in any spelling."""


@source("url")
class RemoteSource(Source):
    """The http or https URL of an image at a public address."""

    async def start(self) -> None:
        """Open one guarded session, without cookies and proxies, so that no fetch affects the next."""
        self._fetches = 0
        URL("http://ü/")  # loads IDNA's tables, which would hold up the event loop for 35 ms later
        settings = self.tools.settings
        connector = guarded_connector(settings.remote_ports, settings.remote_allowed_networks)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            trust_env=False,
            auto_decompress=False,  # it would run in the event loop
        )

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    @asynccontextmanager
    async def open(self, value: str | Spooled, viewer: Identity) -> AsyncIterator[SourceImage]:
        """Fetch the image into the spool and read its header."""
        if not isinstance(value, str):
            raise BadRequest("the field 'url' must be text, not a file")
        settings = self.tools.settings
        url = self._checked(value)
        guard = None if self._is_open(url) else _guarded(viewer)
        async with self.tools.spool.writer(settings.max_upload_bytes, "the remote image") as writer:
            fetched = await self._fetch(url, writer)
            if not fetched.bytes:
                raise BadGateway("the remote server sent an empty response")
            header = await self.tools.renderers.read_header(RenderSource(fetched.path, fetched.sha256))

            @asynccontextmanager
            async def local() -> AsyncIterator[Path]:
                yield fetched.path

            stem = PurePosixPath(url.name).stem
            caching = Caching(_CACHE_CONTROL, key_header=settings.surrogate_key_header)
            yield SourceImage(header, fetched.sha256, caching, local, fetched.claimed, guard=guard, stem=stem)

    def _is_open(self, url: URL) -> bool:
        """Whether everybody may transform images of this host."""
        host = (url.raw_host or "").rstrip(".").lower()
        return is_among(host, self.tools.settings.remote_allowed_hosts)

    async def _fetch(self, url: URL, writer: SpoolWriter) -> Spooled:
        seconds = self.tools.settings.remote_seconds
        try:
            with self._limited():
                async with asyncio.timeout(seconds):
                    await self._follow(url, writer)
        except TimeoutError as error:
            raise GatewayTimeout(
                f"the remote server did not send the image within {seconds:g} s; retry later, or post the file"
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise _unreachable(error) from error
        except aiohttp.InvalidURL as error:
            raise BadRequest(f"{str(url)[:200]!r} is not a valid URL") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise BadGateway("the remote server did not send a valid HTTP response") from error
        return await writer.finish()

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Refuse a fetch at once while slow servers take up all of them: with a queue, the others would be slow too."""
        most = self.tools.settings.remote_fetches
        if self._fetches >= most:
            raise Unavailable(f"too many remote images are being fetched ({most}); retry later")
        self._fetches += 1
        try:
            yield
        finally:
            self._fetches -= 1

    async def _follow(self, url: URL, writer: SpoolWriter) -> None:
        for _ in range(self.tools.settings.remote_redirects + 1):
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    await self._read(response, writer)
                    return
                url = self._checked(response.headers.get("Location", ""), base=url)
        raise BadGateway(
            f"the url redirects more than {self.tools.settings.remote_redirects} times; use the final address"
        )

    async def _read(self, response: aiohttp.ClientResponse, writer: SpoolWriter) -> None:
        if response.status != 200:  # noqa: PLR2004
            raise BadGateway(f"the remote server responded with status {response.status}; check the url")
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            raise BadGateway("the remote server sent a compressed body, although it was asked not to")
        async for chunk in response.content.iter_any():
            await writer.write(chunk)

    def _checked(self, text: str, base: URL | None = None) -> URL:
        authority = _AUTHORITY.match(text)
        if authority and len(authority[1]) > _MAX_AUTHORITY:
            raise BadRequest(f"the host in {text[:200]!r} is too long")
        try:
            url = base.join(URL(text)) if base else URL(text)
            host, port = url.raw_host, url.port
            url.host  # noqa: B018  # fails if it has no readable form
        except ValueError as error:
            raise BadRequest(f"{text[:200]!r} is not a valid URL") from error
        if host and url.scheme not in {"http", "https"}:
            raise BadRequest(f"{text[:200]!r} is not a URL of http or https; use one of them")
        if not host:
            raise BadRequest(f"{text[:200]!r} is not a complete URL; write https://host/path")
        if not (_NAME.fullmatch(host) or _is_ipv6(host)):
            raise BadRequest(f"the host in {text[:200]!r} is not valid; write a name or an address")
        if port not in self.tools.settings.remote_ports:
            allowed = ", ".join(map(str, sorted(self.tools.settings.remote_ports)))
            raise BadRequest(f"port {port} of {text[:200]!r} is not allowed; use one of: {allowed}")
        return url.with_user(None) if url.user else url


def _unreachable(error: aiohttp.ClientConnectorError) -> ServiceError:
    if isinstance(error.os_error, AddressRefused):
        return BadRequest(f"the url leads to {error.host!r}, which is refused: {error.os_error}")
    if is_unknown(error):
        return BadGateway(f"there is no host {error.host!r}; check the url")
    return BadGateway("the remote server is unreachable")


def _guarded(viewer: Identity) -> Guard:
    """What a response requires. Raises Unauthorized or Forbidden if the viewer lacks it."""
    if viewer is ANYBODY:
        raise Unauthorized(
            "transforming images of other servers requires a signed URL, or a key with the scope `read`; or add the"
            " host to REMOTE_ALLOWED_HOSTS"
        )
    if not viewer.may(Scope.READ):
        raise Forbidden(f"the key lacks the scope `{Scope.READ}`; use one that has it")
    return Guard(None)


def _is_ipv6(host: str) -> bool:
    try:
        return not IPv6Address(host).scope_id
    except ValueError:
        return False
