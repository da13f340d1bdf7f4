"""Sends events to their receivers when they are due."""

import asyncio
import contextlib
import logging

from service_kit.errors import ServiceError
from storage_service.deliveries import Deliveries, Delivery
from storage_service.events import Events, now_ms
from storage_service.receivers import Receivers, Webhook

_AT_ONCE = 4
"""Events that one process sends to one receiver at the same time: a slow one delays no other. One if it fails."""
_LONGEST_SLEEP = 5.0
"""Seconds until a node notices what another node has added that died, or what a command has changed."""
_SWEPT_EVERY = 600.0
_DATABASE_PAUSE = 1.0
_FAREWELL_SECONDS = 2.0
"""For attempts in progress when the service stops, so that hardly any event is sent twice."""

logger = logging.getLogger(__name__)


class Delivering:
    """Sends what is in the outbox. Any number of processes may do so at once."""

    def __init__(self, events: Events, deliveries: Deliveries, receivers: Receivers) -> None:
        self._deliveries = deliveries
        self._receivers = receivers
        self._sending: dict[str, set[asyncio.Task[None]]] = {}
        """Attempts in progress, by the ID of the webhook."""
        self._wake = asyncio.Event()
        events.on_added = self._wake.set

    async def close(self) -> None:
        """Wait a little for attempts in progress. The events of others are due again when their claims have expired."""
        tasks = [task for sending in self._sending.values() for task in sending]
        if tasks:
            await asyncio.wait(tasks, timeout=_FAREWELL_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self) -> None:
        """Send each event when it is due, and sweep, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            group.create_task(self._sweep())

    async def _send(self) -> None:
        while True:
            self._wake.clear()
            try:
                sleep = await self._start_due()
            except ServiceError as error:
                logger.warning("events are delayed: %s", error)
                sleep = _DATABASE_PAUSE
            except Exception:
                logger.exception("events are delayed")  # go on
                sleep = _LONGEST_SLEEP
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(sleep):
                    await self._wake.wait()

    async def _start_due(self) -> float:
        """Start what is due. Returns the seconds until something else may be."""
        next_at = now_ms() + int(_LONGEST_SLEEP * 1000)
        for webhook in await self._deliveries.webhooks():
            free = (1 if webhook.failures else _AT_ONCE) - len(self._sending.get(webhook.webhook_id, ()))
            if free <= 0:
                continue
            if webhook.paused_until > now_ms():
                next_at = min(next_at, webhook.paused_until)
                continue
            claimed, due_at = await self._deliveries.claim(webhook, free)
            for delivery in claimed:
                self._start(webhook, delivery)
            next_at = min(next_at, due_at or next_at)
        return max(0.0, (next_at - now_ms()) / 1000)

    def _start(self, webhook: Webhook, delivery: Delivery) -> None:
        task = asyncio.create_task(self._attempt(webhook, delivery))
        self._sending.setdefault(webhook.webhook_id, set()).add(task)

        def ended(_: object) -> None:
            self._sending[webhook.webhook_id].discard(task)
            if not self._sending[webhook.webhook_id]:
                del self._sending[webhook.webhook_id]
            self._wake.set()

        task.add_done_callback(ended)

    async def _attempt(self, webhook: Webhook, delivery: Delivery) -> None:
        try:
            answer = await self._receivers.send(webhook, delivery.event_id, delivery.body)
            if answer.reason:
                logger.warning("webhook %s: event %s: %s", webhook.webhook_id, delivery.event_id, answer.reason)
            await self._deliveries.settle(webhook, delivery, answer)
        except ServiceError as error:  # it is due again when its claim expires
            logger.warning("webhook %s: event %s is sent again: %s", webhook.webhook_id, delivery.event_id, error)
        except Exception:
            logger.exception("webhook %s: event %s is sent again", webhook.webhook_id, delivery.event_id)

    async def _sweep(self) -> None:
        """Beside sending, which waits for no sweep: there may be a lot to remove."""
        while True:
            await asyncio.sleep(_SWEPT_EVERY)
            try:
                await self._deliveries.sweep()
            except ServiceError as error:
                logger.warning("events are swept later: %s", error)
            except Exception:
                logger.exception("events are swept later")  # go on
