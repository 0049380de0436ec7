"""Which job is submitted next: read from the ledger a few at a time, in the order of the manifest."""

import asyncio
from collections import deque
from fnmatch import fnmatchcase

from pipeline.core.jobs import Record
from pipeline.ledger import Ledger

_CHUNK = 100  # enough to keep the slots busy, too few to weigh anything


class JobQueue:
    """Queued jobs, streamed; a job whose submit surely created nothing comes back here."""

    def __init__(self, ledger: Ledger, *, select: str | None = None, limit: int | None = None) -> None:
        self._ledger = ledger
        self._select = select
        self._left = limit
        self._cursor = 0
        self._read_ahead: deque[Record] = deque()
        self._handed_back: deque[Record] = deque()
        self._blocked_models: set[str] = set()
        self._adopted: set[str] = set()
        self._out = 0
        self._came_in = asyncio.Event()

    async def next(self) -> Record | None:
        """The next job to submit; None when there is none and none can come back any more."""
        while True:
            record = await self._pick()
            if record is not None:
                return record
            if self._out == 0:
                return None
            self._came_in.clear()
            await self._came_in.wait()

    def adopt(self, record: Record) -> None:
        """A job that an earlier run gave out may still come back; it comes back to memory only."""
        self._adopted.add(record.job.job_id)
        self._out += 1
        if self._left is not None:
            self._left -= 1

    def settled(self) -> None:
        """A job that `next` gave out needs no further submit."""
        self._out -= 1
        self._came_in.set()

    def hand_back(self, record: Record, *, first: bool) -> None:
        """Take a job back that is to be submitted again: before all others, or after them."""
        if first:
            self._read_ahead.appendleft(record)
        else:
            self._handed_back.append(record)
        if self._left is not None:
            self._left += 1
        self.settled()

    def block(self, model: str) -> None:
        """Give out no more jobs of a model that the account may not use; they stay queued."""
        self._blocked_models.add(model)

    def wanted(self, record: Record) -> bool:
        """Whether the job may be submitted in this run: its model is not refused, and it is selected.

        A job that an earlier run left without an answer may come back although this run does not select it.
        """
        return record.job.model not in self._blocked_models and fnmatchcase(record.job.job_id, self._select or "*")

    async def _pick(self) -> Record | None:
        while self._left is None or self._left > 0:
            record = await self._read()
            if record is None:
                return None
            if self.wanted(record):
                self._out += 1
                if self._left is not None:
                    self._left -= 1
                return record
        return None

    async def _read(self) -> Record | None:
        while not self._read_ahead:
            rows = await self._ledger.queued(select=self._select, after=self._cursor, limit=_CHUNK)
            if not rows:
                break
            self._cursor = rows[-1][0]
            self._read_ahead.extend(record for _, record in rows if record.job.job_id not in self._adopted)
        if self._read_ahead:  # also what was handed back while the ledger was asked
            return self._read_ahead.popleft()
        return self._handed_back.popleft() if self._handed_back else None
