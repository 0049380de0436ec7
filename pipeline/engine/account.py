"""The account as everybody shares it: slots, the window of submits under way, the pause, and the end of submitting."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pipeline.core.clock import Clock
from pipeline.engine.pace import Pace
from pipeline.engine.slots import Slots


class Account:
    """Puts the decisions of `Pace` into effect: who wants to submit waits here."""

    def __init__(self, pace: Pace, clock: Clock, on_slots: Callable[[int], None] = lambda _limit: None) -> None:
        self._pace = pace
        self._on_slots = on_slots
        self._clock = clock
        self._window = Slots(pace.window)
        self._stopped = asyncio.Event()
        self.slots = Slots(pace.slots)

    @property
    def stopped(self) -> bool:
        """Whether nothing may be submitted any more."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Submit nothing more: everybody who waits to submit goes home."""
        self._stopped.set()
        self.slots.close()
        self._window.close()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Wait for a place in the window and for the pause to pass; yields False where submitting has stopped."""
        place = await self._window.take()
        try:
            yield place is not None and await self._cleared()
        finally:
            if place is not None:
                place.give_back()

    async def wait(self, seconds: float) -> None:
        """Let time pass, or less where submitting stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    def accepted(self) -> None:
        """A submit was accepted."""
        self._pace.accepted()
        self._apply()

    def rejected(self) -> None:
        """A submit was refused for its own sake."""
        self._pace.rejected()
        self._apply()

    def rate_limited(self, retry_after: float | None, running: int) -> float:
        """A submit was refused because there are too many. Returns the pause, in seconds."""
        return self._applied(self._pace.rate_limited(self._clock.monotonic(), retry_after, running))

    def hold(self, seconds: float) -> None:
        """Another call was told to slow down: submits wait as well."""
        self._pace.hold(self._clock.monotonic() + seconds)

    def unanswered(self, retry_after: float | None) -> float:
        """A submit met an outage. Returns the pause, in seconds."""
        return self._applied(self._pace.unanswered(self._clock.monotonic(), retry_after))

    def lost(self) -> int:
        """The answer to a submit was lost. Returns how many in a row now."""
        self._applied(self._pace.lost(self._clock.monotonic()))
        return self._pace.lost_in_a_row

    def outage(self) -> float:
        """Seconds since when submits have met nothing but outages."""
        return self._pace.outage(self._clock.monotonic())

    async def _cleared(self) -> bool:
        while not self.stopped:
            now = self._clock.monotonic()
            delay = self._pace.delay(now)
            if delay <= 0:
                self._pace.leave(now)
                return True
            await self.wait(delay)
        return False

    def _applied(self, pause: float) -> float:
        self._apply()
        return pause

    def _apply(self) -> None:
        if self._pace.slots != self.slots.limit:
            self.slots.resize(self._pace.slots)
            self._on_slots(self._pace.slots)
        self._window.resize(self._pace.window)
