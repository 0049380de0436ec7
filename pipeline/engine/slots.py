"""A semaphore whose number can change: a slot is held from before the submit until the task is final."""

import asyncio
from collections import deque
from collections.abc import Callable


class Slot:
    """One unit of concurrency. It has one owner at a time, and `give_back` is the one way to return it."""

    __slots__ = ("_slots", "on_return")

    def __init__(self, slots: "Slots") -> None:
        self._slots: Slots | None = slots
        self.on_return: Callable[[], None] | None = None
        """Called when the slot has come back."""

    def give_back(self) -> None:
        """Return the slot. A second call is a bug and raises RuntimeError."""
        if self._slots is None:
            raise RuntimeError("this slot was given back before")
        slots, self._slots = self._slots, None
        slots._returned()
        if self.on_return is not None:
            self.on_return()


class Slots:
    """Up to `limit` slots; waiters are served in order."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_use = 0
        self._waiters: deque[asyncio.Future[Slot | None]] = deque()
        self._closed = False

    @property
    def limit(self) -> int:
        """How many may be in use."""
        return self._limit

    @property
    def in_use(self) -> int:
        """How many are; above the limit for a while after it shrank, or when running tasks were adopted."""
        return self._in_use

    async def take(self) -> Slot | None:
        """Wait for a free slot and take it; None once the slots are closed."""
        if self._closed:
            return None
        if self._in_use < self._limit:
            return self.seize()
        waiter: asyncio.Future[Slot | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and (slot := waiter.result()) is not None:
                slot.give_back()  # its turn had come already: the next one gets it
            raise

    def seize(self) -> Slot:
        """Take a slot for a task that is already running, whatever the limit."""
        self._in_use += 1
        return Slot(self)

    def resize(self, limit: int) -> None:
        """Allow `limit` slots from now on; slots in use are never taken away."""
        self._limit = limit
        self._serve()

    def close(self) -> None:
        """Send every present and future waiter home with None."""
        self._closed = True
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _returned(self) -> None:
        self._in_use -= 1
        self._serve()

    def _serve(self) -> None:
        """Put free slots into the hands of those who wait, so that nobody who comes later can take them."""
        while self._waiters and self._in_use < self._limit:
            waiter = self._waiters.popleft()
            if not waiter.done():  # or it was cancelled and has not noticed yet
                waiter.set_result(self.seize())
