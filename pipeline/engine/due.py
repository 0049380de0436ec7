"""A heap of due times with one timer: whatever is due comes out of `get`, earliest first."""

import asyncio
import heapq
import itertools
from typing import Generic, TypeVar

T = TypeVar("T")


class DueQueue(Generic[T]):
    """Items that become available at their time; times are those of the event loop."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._ready: asyncio.Queue[T] = asyncio.Queue()
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, item: T, at: float) -> None:
        """Make `item` available at the loop time `at`; a time that has passed means now."""
        heapq.heappush(self._heap, (at, next(self._order), item))
        if self._heap[0][2] is item:
            self._set_timer()

    async def get(self) -> T:
        """Wait for the next item whose time has come."""
        return await self._ready.get()

    def clear(self) -> list[T]:
        """Take out every item, due or not."""
        items = [item for _, _, item in self._heap]
        self._heap.clear()
        self._set_timer()
        while not self._ready.empty():
            items.append(self._ready.get_nowait())
        return items

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._release)

    def _release(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            self._ready.put_nowait(heapq.heappop(self._heap)[2])
        self._set_timer()
