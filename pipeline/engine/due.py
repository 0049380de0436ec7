"""A heap of due times with one timer: what is due comes out of `get`, earliest first, and no faster than it may."""

import asyncio
import heapq
import itertools
from typing import Generic, TypeVar

T = TypeVar("T")


class DueQueue(Generic[T]):
    """Items that become available at their time; times are those of the event loop.

    `rate` is how many come out in a second at most. What has to wait, for the rate or for somebody to take it, stays in
    the order of the due times: nothing that is put back again and again gets ahead of what was due before.
    """

    def __init__(self, rate: float | None = None) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._ready: asyncio.Queue[T] = asyncio.Queue()
        self._order = itertools.count()
        self._spacing = 1.0 / rate if rate else 0.0
        self._free_at = 0.0
        self._takers = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None

    def put(self, item: T, at: float) -> None:
        """Make `item` available at the loop time `at`; a time that has passed means now."""
        heapq.heappush(self._heap, (at, next(self._order), item))
        self._set_timer()

    async def get(self) -> T:
        """Wait for the next item whose time has come."""
        self._takers += 1
        self._set_timer()
        try:
            return await self._ready.get()
        finally:
            self._takers -= 1

    def clear(self) -> list[T]:
        """Take out every item, due or not."""
        items = [item for _, _, item in self._heap]
        self._heap.clear()
        self._set_timer()
        while not self._ready.empty():
            items.append(self._ready.get_nowait())
        return items

    @property
    def _next_at(self) -> float | None:
        """When the next item may come out; None while nobody waits for it, or there is none."""
        if not self._heap or self._takers <= self._ready.qsize():
            return None
        return max(self._heap[0][0], self._free_at)

    def _set_timer(self) -> None:
        at = self._next_at
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at is None else asyncio.get_running_loop().call_at(at, self._release)
        self._timer_at = at

    def _release(self) -> None:
        now = asyncio.get_running_loop().time()
        self._timer_at = None
        while (at := self._next_at) is not None and at <= now:
            self._free_at = now + self._spacing
            self._ready.put_nowait(heapq.heappop(self._heap)[2])
        self._set_timer()
