"""A heap of due times with one timer: what is due comes out of `get`, earliest first, and no faster than it may."""

import asyncio
import heapq
import itertools
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

_SHORTEST = 0.001
"""Seconds of a timer. Loops wait for whole milliseconds, and uvloop's rounds to the nearest: woken half of one early,
we would be asked to wait for nothing, again and again, until it is time."""


class DueQueue(Generic[T]):
    """Items that become available at their time; times are those of the event loop.

    `rate` is how many come out in a second at most. What has to wait, for the rate or for somebody to take it, stays in
    the order of the due times: nothing that is put back again and again gets ahead of what was due before.
    """

    def __init__(self, rate: float | None = None) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._ready: deque[tuple[float, int, T]] = deque()
        """For those who were woken, one each."""
        self._order = itertools.count()
        self._spacing = 1.0 / rate if rate else 0.0
        self._free_at = 0.0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def put(self, item: T, at: float) -> None:
        """Make `item` available at the loop time `at`; a time that has passed means now."""
        heapq.heappush(self._heap, (at, next(self._order), item))
        if self._waiters and (self._timer is None or at < self._timer_at):
            self._look()

    async def get(self) -> T:
        """Wait for the next item whose time has come."""
        loop = asyncio.get_running_loop()
        if self._heap:
            at, now = self._next_at, loop.time()
            if at <= now:  # nobody waits for it, or would have it
                return self._taken(now)[2]
            if self._timer is None or at < self._timer_at:
                self._look_at(at, now, loop)
        waiter = loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if self._ready and not waiter.cancelled():  # it was woken already: what it should have is another's
                heapq.heappush(self._heap, self._ready.popleft())
                self._look()
            raise
        return self._ready.popleft()[2] if self._ready else await self.get()

    def clear(self) -> list[T]:
        """Take out every item, due or not."""
        items = [item for _, _, item in (*self._heap, *self._ready)]
        self._heap.clear()
        self._ready.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return items

    @property
    def _next_at(self) -> float:
        """When the next item may come out."""
        at = self._heap[0][0]
        return at if at > self._free_at else self._free_at  # noqa: FURB136 - `max` takes ten times as long

    def _taken(self, now: float) -> tuple[float, int, T]:
        if self._spacing:
            self._free_at = now + self._spacing
        return heapq.heappop(self._heap)

    def _look(self) -> None:
        """Wake those who wait, one for each item that is due, and see to it that the others are woken in time."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._heap and self._waiters:
            at = self._next_at
            if at > now:
                if self._timer is None or at < self._timer_at:
                    self._look_at(at, now, loop)
                return
            waiter = self._waiters.popleft()
            if not waiter.done():  # or it was cancelled and has not noticed yet
                waiter.set_result(None)
                self._ready.append(self._taken(now))

    def _look_at(self, at: float, now: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = loop.call_at(max(at, now + _SHORTEST), self._due), at

    def _due(self) -> None:
        self._timer = None
        self._look()
