"""The caches that may hold something of an image, each of whose nodes can be purged."""

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import aiohttp
from yarl import URL

from service_kit.http import paths, purges

_SECONDS = 2.0
_ADDRESS_SECONDS = 1.0
_SILENT_SECONDS = 0.1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PurgeOrder:
    """What a cache has to remove."""

    image_id: str
    content: str | None
    """The content whose results to drop as well, by its SHA-256."""
    damaged: bool = False
    """Whether the image still exists, but was found damaged."""
    name: str = ""
    """In place of an image: the name that is about to show another one."""

    @property
    def path(self) -> str:
        """The path that is purged."""
        return paths.name_url(self.name) if self.name else paths.image_url(self.image_id)


class CacheNode:
    """One node of a cache, at one address."""

    def __init__(self, session: aiohttp.ClientSession, address: URL, host: str) -> None:
        self._session = session
        self._address = address
        self._host = host
        self._silent_until: float | None = None
        """When to try again after the node did not confirm. Until then, it must not delay purges of the other nodes."""

    async def purge(self, order: PurgeOrder) -> bool:
        """Purge an image. Returns whether the node confirmed."""
        now = time.monotonic()
        if self._silent_until is not None:
            if now < self._silent_until:
                return False
            self._silent_until = now + _SECONDS  # one request tries the node, for all that are waiting
        confirmed = False
        try:
            confirmed = await self._confirmed(order)
        finally:  # even if the caller has stopped waiting
            self._silent_until = None if confirmed else time.monotonic() + _SILENT_SECONDS
        return confirmed

    async def _confirmed(self, order: PurgeOrder) -> bool:
        headers = {"Host": self._host}
        if order.content:
            headers[purges.CONTENT_HEADER] = order.content
        if order.damaged:
            headers[purges.REASON_HEADER] = purges.DAMAGED
        url = self._address.with_path(order.path)
        try:
            async with self._session.request(purges.METHOD, url, headers=headers) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("the cache at %s did not confirm the purge of %s: %r", self._address, order.path, error)
            return False
        if response.status >= 300:  # noqa: PLR2004
            logger.warning(
                "the cache at %s answered the purge of %s with %d", self._address, order.path, response.status
            )
            return False
        return True


class Cache:
    """A cache: one node for each address that the host in its URL has."""

    def __init__(self, session: aiohttp.ClientSession, url: URL) -> None:
        self._session = session
        self._url = url
        self._nodes: dict[str, CacheNode] = {}
        self._known_until = 0.0

    async def purge(self, order: PurgeOrder) -> bool:
        """See CacheNode.purge. Returns whether there is a node, and every node confirmed."""
        if time.monotonic() >= self._known_until and not await self._find_nodes():
            return False
        nodes = self._nodes.values()
        return all(await asyncio.gather(*(node.purge(order) for node in nodes)))

    async def _find_nodes(self) -> bool:
        """Update the nodes; False if the host has no known address."""
        addresses = await self._addresses()
        if addresses:
            self._nodes = {address: self._nodes.get(address) or self._node(address) for address in addresses}
            self._known_until = time.monotonic() + _ADDRESS_SECONDS
        return bool(addresses)

    def _node(self, address: str) -> CacheNode:
        return CacheNode(self._session, self._url.with_host(address), self._url.host or "")

    async def _addresses(self) -> set[str]:
        assert self._url.host
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                self._url.host, self._url.port, type=socket.SOCK_STREAM
            )
        except OSError as error:
            logger.warning("%s has no known address, so nothing can be purged there yet: %s", self._url, error)
            return set()
        return {str(info[4][0]) for info in found}


class PurgeableCache(Protocol):
    """A cache that may hold something of an image."""

    async def purge(self, order: PurgeOrder) -> bool:
        """Purge an image. Returns whether that is done."""


class Caches:
    """All caches to purge: one for each of `urls`, and those in this process."""

    def __init__(self, urls: Sequence[str], own: Sequence[PurgeableCache] = ()) -> None:
        self._urls = [URL(url) for url in urls]
        self._own = own
        self._caches: list[PurgeableCache] = [*own]

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS))
        self._caches = [*self._own, *(Cache(self._session, url) for url in self._urls)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @property
    def exist(self) -> bool:
        """Whether there are any caches."""
        return bool(self._caches)

    @property
    def remote(self) -> bool:
        """Whether there are caches outside of this process."""
        return bool(self._urls)

    async def purge(self, order: PurgeOrder) -> bool:
        """Purge an image. Returns whether every node of every cache confirmed."""
        return all(await asyncio.gather(*(cache.purge(order) for cache in self._caches)))
