"""The account as everybody shares it: slots, the window of submits under way, the pause, and the end of submitting."""

import asyncio
import contextlib
import functools
from collections.abc import Callable

from pipeline.core.clock import Clock
from pipeline.core.jobs import Job
from pipeline.engine.ceiling import Ceiling, Stay
from pipeline.engine.pace import Pace
from pipeline.engine.slots import Slot, Slots


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

    @property
    def most(self) -> int:
        """Slots that may be reached, as far as anybody knows."""
        return self._pace.most

    def stop(self) -> None:
        """Submit nothing more: everybody who waits to submit goes home."""
        self._stopped.set()
        self.slots.close()
        self._window.close()

    async def turn(self) -> Slot | None:
        """Wait for a place in the window and for the pause to pass; None where submitting has stopped.

        The place is to be given back once the submit is over.
        """
        place = await self._window.take()
        cleared = False
        try:
            cleared = place is not None and await self._cleared()
        finally:
            if place is not None and not cleared:
                place.give_back()
        return place if cleared else None

    async def wait(self, seconds: float) -> None:
        """Let time pass, or less where submitting stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    def accepted(self, running: int = 0) -> None:
        """A submit was accepted while so many tasks ran."""
        self._pace.accepted(running + self._window.in_use)
        self._apply()

    def rejected(self) -> None:
        """A submit was refused for its own sake."""
        self._pace.rejected()
        self._apply()

    def rate_limited(self, retry_after: float | None, running: int) -> float:
        """A submit was refused because there are too many. Returns the pause, in seconds."""
        flying = max(0, self._window.in_use - 1)
        return self._applied(self._pace.rate_limited(self._clock.monotonic(), retry_after, running, flying))

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
        """Seconds in which submits were tried and met nothing but outages."""
        return self._pace.outage(self._clock.monotonic())

    def occupied(self, slot: Slot, job: Job, running: int) -> None:
        """The job's task has come into the slot, and with it so many run: a search learns how long it stays."""
        search = self._pace.search
        if search is not None:
            stay = search.began(job.kind, running, self._clock.monotonic())
            slot.on_return = functools.partial(self._vacated, search, stay)

    @property
    def found(self) -> str | None:
        """What a search for the slots has found so far, for `begin_at`; None where their number was given."""
        return None if self._pace.search is None else self._pace.search.memory

    def begin_at(self, found: str | None) -> None:
        """Begin the search where an earlier one has ended."""
        if self._pace.search is not None:
            self._pace.search.recall(found)
            self.slots.resize(self._pace.slots)
            self._on_slots(self._pace.slots)

    def _vacated(self, search: Ceiling, stay: Stay) -> None:
        if not self.stopped:  # from then on slots come back although their tasks go on
            search.ended(stay, self._clock.monotonic())
            self._apply()

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
        slots = self._pace.slots
        if slots != self.slots.limit:
            self.slots.resize(slots)
            self._on_slots(slots)
        self._window.resize(self._pace.window)
