"""Tells every cache of a deletion, again and again until each has confirmed it."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

import aiohttp
from yarl import URL

from service_kit import paths, purges
from service_kit.errors import ServiceError
from storage_service.metadata.base import MetadataStore, PendingPurge
from storage_service.metrics import PURGE_CONFIRM, PURGE_OLDEST, PURGES_PENDING

_REPEATS = (0.6, 15.0)
"""Seconds after a round that all confirmed until the next one. An answer that was made before the deletion may reach a
cache after the purge: a fast render within half a second, since slower ones ask again whether the image is there
(transformer.py); the slowest within the deadlines of render and transfer."""
_AT_ONCE = 0.5
"""Seconds for the caches to confirm before the client gets its 204."""
_GRACE = timedelta(seconds=_AT_ONCE)
_IDLE = 0.2
_LEAST_PAUSE, _LONGEST_PAUSE, _HOPELESS_PAUSE = 0.2, 2.0, 60.0
_HOPELESS = 600.0
"""Seconds without a confirmation after which a cache is asked once a minute: its name may be gone for good."""
_CLAIM = timedelta(seconds=10)
"""Longer than a round takes: another process does not start it meanwhile."""
_BATCH = 100
_SECONDS = 2.0
_ADDRESS_SECONDS = 1.0
_SILENT_SECONDS = 0.1

logger = logging.getLogger(__name__)


class Caches:
    """The nodes that keep something of images: each address that the host of a URL has."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = [URL(url) for url in urls]
        self._addresses: dict[URL, tuple[float, list[URL]]] = {}
        self._silent: dict[URL, float] = {}
        """Until when a node that did not confirm is not asked: it would hold up the purges of the others."""

    @property
    def exist(self) -> bool:
        """Whether there is any."""
        return bool(self._urls)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def purge(self, image_id: str, content: str | None) -> bool:
        """Purge an image everywhere; whether each node has confirmed it."""
        headers = {purges.CONTENT_HEADER: content} if content else {}
        return all(await asyncio.gather(*(self._purge_all(url, image_id, headers) for url in self._urls)))

    async def _purge_all(self, url: URL, image_id: str, headers: dict[str, str]) -> bool:
        nodes = await self._nodes(url)
        return bool(nodes) and all(
            await asyncio.gather(*(self._purge_one(node, url, image_id, headers) for node in nodes))
        )

    async def _purge_one(self, node: URL, url: URL, image_id: str, headers: dict[str, str]) -> bool:
        now = time.monotonic()
        if node in self._silent:
            if now < self._silent[node]:
                return False
            self._silent[node] = now + _SECONDS  # one tries for all
        confirmed = False
        try:
            confirmed = await self._confirmed(node, url, image_id, headers)
        finally:  # given up (announce), too
            if confirmed:
                self._silent.pop(node, None)
            else:
                self._silent[node] = time.monotonic() + _SILENT_SECONDS
        return confirmed

    async def _confirmed(self, node: URL, url: URL, image_id: str, headers: dict[str, str]) -> bool:
        try:
            async with self._session.request(
                purges.METHOD, node.with_path(paths.image_url(image_id)), headers={**headers, "Host": url.host or ""}
            ) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("the cache at %s did not confirm that the image %s is gone: %r", node, image_id, error)
            return False
        if answer.status >= 300:  # noqa: PLR2004
            logger.warning("the cache at %s answered %d to the purge of %s", node, answer.status, image_id)
            return False
        return True

    async def _nodes(self, url: URL) -> list[URL]:
        until, nodes = self._addresses.get(url, (0.0, []))
        if until < time.monotonic():
            nodes = await _resolved(url)
            self._addresses[url] = (time.monotonic() + _ADDRESS_SECONDS, nodes)
        return nodes


async def _resolved(url: URL) -> list[URL]:
    """The URL at each address of its host; empty where none is known."""
    assert url.host
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except OSError as error:
        logger.warning("no address of %s is known, so nothing can be purged there yet: %s", url, error)
        return []
    return [url.with_host(address) for address in sorted({str(info[4][0]) for info in found})]


class Purger:
    """Takes deletions from the metadata store's outbox; any number of processes may."""

    def __init__(self, metadata: MetadataStore, caches: Caches) -> None:
        self._metadata = metadata
        self._caches = caches
        self._wake = asyncio.Event()

    async def announce(self, purge: PendingPurge) -> None:
        """The first round, for a deletion that was just committed; who does not confirm is asked again later."""
        with contextlib.suppress(TimeoutError, ServiceError):
            async with asyncio.timeout(_AT_ONCE):
                await self._deliver(purge)
        self._wake.set()

    async def observe(self) -> None:
        """Bring the gauges up to date; they stay as they are while the database does not answer."""
        with contextlib.suppress(ServiceError):
            number, oldest = await self._metadata.pending_purges()
            PURGES_PENDING.set(number)
            PURGE_OLDEST.set((datetime.now(UTC) - oldest).total_seconds() if oldest else 0)

    async def run(self) -> None:
        """Deliver what is due, for ever."""
        while True:
            try:
                await self._deliver_due()
            except ServiceError as error:
                logger.warning("purges wait: %s", error)
                await asyncio.sleep(_LEAST_PAUSE)
            except Exception:
                logger.exception("purges wait")  # and go on: without this task, deleted images would be served on
                await asyncio.sleep(_LONGEST_PAUSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_IDLE):
                    await self._wake.wait()
            self._wake.clear()

    async def _deliver_due(self) -> None:
        while True:
            now = datetime.now(UTC)
            due = await self._metadata.claim_purges(now, now + _CLAIM, _BATCH)
            await asyncio.gather(*map(self._deliver, due))
            if len(due) < _BATCH:
                return

    async def _deliver(self, purge: PendingPurge) -> None:
        used = await self._metadata.used_contents([purge.sha256])
        confirmed = await self._caches.purge(purge.image_id, None if used else purge.sha256)
        now = datetime.now(UTC)
        if confirmed and not purge.round:
            PURGE_CONFIRM.observe((now - purge.deleted_at).total_seconds())
        if not confirmed:
            waited = (now - purge.deleted_at).total_seconds()
            pause = min(max(waited / 10, _LEAST_PAUSE), _LONGEST_PAUSE) if waited < _HOPELESS else _HOPELESS_PAUSE
            await self._metadata.postpone_purge(purge.image_id, purge.round, now + timedelta(seconds=pause))
        elif purge.round < len(_REPEATS) and self._caches.exist:
            due = now + timedelta(seconds=_REPEATS[purge.round])
            await self._metadata.postpone_purge(purge.image_id, purge.round + 1, due)
        else:
            await self._metadata.finish_purge(purge.image_id)


def first_round(at: datetime) -> datetime:
    """When the outbox takes over a deletion whose announcement was cut off."""
    return at + _GRACE
