"""Measures how late the event loop is. Whatever holds it up, holds up every client."""

import asyncio

from service_kit.http.metrics import EVENT_LOOP_LAG

_PAUSE = 0.1


async def measure_lag() -> None:
    """Measure for ever."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + _PAUSE
        await asyncio.sleep(_PAUSE)
        EVENT_LOOP_LAG.observe(max(0.0, clock() - due))
