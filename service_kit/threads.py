"""Blocking work in threads, which outlives no caller."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread, and return when it has: if the caller is cancelled, CancelledError waits for it.

    `asyncio.to_thread` would raise at once, and the caller would close files and release locks that the thread still
    uses. A descriptor that is closed in the middle of a call soon belongs to another file.
    """
    context = contextvars.copy_context()
    # A future of the executor and no task: the end of the event loop cancels all tasks.
    called = asyncio.get_running_loop().run_in_executor(None, lambda: context.run(function, *args, **kwargs))
    cancelled: asyncio.CancelledError | None = None
    while not called.done():
        try:
            await asyncio.wait([called])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        called.exception()  # nobody is left to see it
        raise cancelled
    return called.result()
