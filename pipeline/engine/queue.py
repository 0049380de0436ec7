"""Which job is submitted next: read from the ledger a few at a time, in the order of the manifest or by class."""

import asyncio
from collections import deque

from pipeline.core.jobs import Job, Record
from pipeline.core.selecting import selects
from pipeline.engine.order import Order, Seconds, guess, leaders, longest_goes_first
from pipeline.ledger import Ledger

_CHUNK = 100  # enough to keep the slots busy, too few to weigh anything
_LOOK_AGAIN = 50  # jobs after which the classes are ranked anew, by what has been learned meanwhile
_MOST_CLASSES = 1000  # a batch of nothing but classes keeps the order of the manifest


class JobQueue:
    """Queued jobs, streamed; a job whose submit surely created nothing comes back here.

    `slots` is how many jobs may be under way, `seconds` how long the task of a job takes, where that is known.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        select: str | None = None,
        limit: int | None = None,
        order: Order = "manifest",
        slots: int = 1,
        seconds: Seconds = lambda _job: None,
    ) -> None:
        self._ledger = ledger
        self._select = select
        self._left = limit
        self._order: Order = order
        self._slots = slots
        self._seconds = seconds
        self._lanes: list[_Lane] | None = None
        self._leading: list[_Lane] = []
        self._since_ranked = 0
        self._first: deque[Record] = deque()
        self._last: deque[Record] = deque()
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
            self._first.appendleft(record)
        else:
            self._last.append(record)
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
        return selects(self._select, record.job.job_id) and record.job.model not in self._blocked_models

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
        lane = None if self._first else self._same_lane() or await self._next_lane()
        if self._first:  # also what was handed back while the ledger was asked
            return self._first.popleft()
        if lane is not None:
            self._since_ranked += 1
            return lane.take()
        return self._last.popleft() if self._last else None

    # -- whose turn it is -------------------------------------------------------------------------------------------

    def _same_lane(self) -> "_Lane | None":
        """The only lane, while it has jobs that have been read: nothing is to be chosen then."""
        lanes = self._leading
        return lanes[0] if len(lanes) == 1 and lanes[0].ahead and self._since_ranked < _LOOK_AGAIN else None

    async def _next_lane(self) -> "_Lane | None":
        """The lane of the next job: of those that lead, the one whose job stands first in the manifest."""
        if self._lanes is None:
            self._lanes = await self._open_lanes()
        ready = await _filled(self._leading)
        if not ready or self._since_ranked >= _LOOK_AGAIN:
            ready = self._leading = await self._rank(self._lanes)
        return min(ready, key=_Lane.position, default=None)

    async def _open_lanes(self) -> "list[_Lane]":
        """One lane for each class, or one for all."""
        queued = await self._ledger.submit_queue_size(self._select)
        if longest_goes_first(self._order, queued=queued, limit=self._left, slots=self._slots):
            kinds = await self._ledger.kinds(self._select)
            if 1 < len(kinds) <= _MOST_CLASSES:
                return [_Lane(self._ledger, self._select, kind, self._adopted) for kind in kinds]
        return [_Lane(self._ledger, self._select, None, self._adopted)]

    async def _rank(self, lanes: "list[_Lane]") -> "list[_Lane]":
        """The longest of the classes that still have jobs."""
        self._lanes = lanes = await _filled(lanes)
        self._since_ranked = 0
        expected = [self._expected(lane.sample) for lane in lanes] if len(lanes) > 1 else [0.0] * len(lanes)
        return [lanes[number] for number in leaders(expected)]

    def _expected(self, job: Job) -> float:
        known = self._seconds(job)
        return guess(job) if known is None else known


class _Lane:
    """Queued jobs of one class, or of all, in the order of the manifest."""

    def __init__(self, ledger: Ledger, select: str | None, kind: str | None, passed_over: set[str]) -> None:
        self._ledger = ledger
        self._select = select
        self._kind = kind
        self._passed_over = passed_over
        self._cursor = 0
        self.ahead: deque[tuple[int, Record]] = deque()
        """Read already, each with its position in the manifest."""

    @property
    def sample(self) -> Job:
        """The next job, which stands for all of its class."""
        return self.ahead[0][1].job

    def position(self) -> int:
        """Of the next job in the manifest."""
        return self.ahead[0][0]

    def take(self) -> Record:
        """The next job."""
        return self.ahead.popleft()[1]

    async def fill(self, jobs: int) -> bool:
        """Read so many jobs ahead, where none has been. Returns whether there is a next one."""
        while not self.ahead:
            rows = await self._ledger.queued(select=self._select, after=self._cursor, limit=jobs, kind=self._kind)
            if not rows:
                return False
            self._cursor = rows[-1][0]
            self.ahead.extend(row for row in rows if row[1].job.job_id not in self._passed_over)
        return True


async def _filled(lanes: list[_Lane]) -> list[_Lane]:
    """Those of the lanes that have a next job."""
    return [lane for lane in lanes if lane.ahead or await lane.fill(max(1, _CHUNK // len(lanes)))]
