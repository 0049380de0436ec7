"""What a run learned about durations reaches the next one: read at the start, written now and then, and at the end."""

import contextlib

from pipeline.core.clock import Clock
from pipeline.core.errors import LedgerError
from pipeline.engine.durations import KEY
from pipeline.engine.schedule import LearnedSchedule
from pipeline.ledger import Ledger

_EVERY = 60.0
"""Seconds of learning that a crash may cost."""


class Memory:
    """Keeps a schedule's learning in the ledger; nothing but better questions depends on it."""

    def __init__(self, ledger: Ledger, schedule: LearnedSchedule, clock: Clock) -> None:
        self._ledger = ledger
        self._schedule = schedule
        self._clock = clock
        self._kept: str | None = None
        self._keep_at = clock.monotonic() + _EVERY

    async def recall(self) -> None:
        """Begin with what earlier runs learned."""
        self._kept = await self._ledger.recall(KEY)
        self._schedule.recall(self._kept)

    def learned(self) -> None:
        """A task has ended: keep what is known, where that was last done a while ago."""
        if self._clock.monotonic() >= self._keep_at:
            self.keep()

    def keep(self) -> None:
        """Hand everything to the ledger, which writes it with its next commit."""
        self._keep_at = self._clock.monotonic() + _EVERY
        text = self._schedule.written()
        if text != self._kept:
            self._kept = text
            with contextlib.suppress(LedgerError):  # a broken ledger is told of by everybody who needs it
                self._ledger.remember(KEY, text)
