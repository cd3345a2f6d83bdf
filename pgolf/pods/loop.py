"""The event loop of all connections to other machines, in a thread of its own: pods are used from several threads."""

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
_starting = threading.Lock()


@cache
def _started_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="connections", daemon=True).start()
    return loop


def loop() -> asyncio.AbstractEventLoop:
    """That loop."""
    with _starting:  # two that come first at the same time would make two
        return _started_loop()


def wait(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on that loop; return or raise what it does. An interrupted caller cancels it."""
    future = asyncio.run_coroutine_threadsafe(work, loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
