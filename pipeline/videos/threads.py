"""Blocking disk work in a few threads, safe to cancel."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 8
"""At most; they are made when needed. More only queue up at the disk, and hashing wants a core each."""


async def settled(work: asyncio.Future[T], hurry: Callable[[], None] = lambda: None) -> T:
    """The result of work in a thread, waited for to its end even when the waiter is cancelled meanwhile.

    A thread cannot be stopped, and closing its file under it could hit a stranger's descriptor. So a cancellation is
    passed on only after the work has ended; what the work then has to say goes unheard. `hurry` is called at the
    cancellation, to tell long work that it may end early.
    """
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as exc:
            cancelled = exc
            hurry()
    if cancelled is not None:
        work.exception()  # marks an error as seen: asyncio reports the others as lost
        raise cancelled
    return work.result()


class DiskThreads:
    """The store's own threads, so that a slow disk never holds up name resolution or anybody else's work."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="videos")

    def start(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Begin the call; hand the future to `settled`."""
        return asyncio.get_running_loop().run_in_executor(self._pool, lambda: call(*args, **kwargs))

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Begin the call and wait for its end."""
        return await settled(self.start(call, *args, **kwargs))

    def close(self) -> None:
        """End the idle threads. Every call has been waited for by whoever began it."""
        self._pool.shutdown()
