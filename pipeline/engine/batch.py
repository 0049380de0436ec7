"""One run over one manifest: read `Batch.run` first."""

import asyncio
import contextlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from random import Random

from pipeline.core.clock import Clock, SystemClock
from pipeline.core.errors import LedgerError, PipelineError, StoppedError, UsageError
from pipeline.core.events import BatchEnded, BatchStarted, Listener, RowsKept, nobody
from pipeline.core.jobs import EVERY_STATE, Job, JobState, remaining
from pipeline.core.ports import Prices, Service, VideoStore
from pipeline.core.values import Value
from pipeline.engine.account import Account
from pipeline.engine.crew import Crew
from pipeline.engine.desk import Desk, Stop
from pipeline.engine.order import Seconds
from pipeline.engine.patience import Patience
from pipeline.ledger import Enrolment, Ledger, Reading
from pipeline.settings import Settings

_PAGE = 500  # unfinished jobs read at a time
_SHOWN = 5  # changed fields named for one job, and jobs whose rows were left


class Summary(Value):
    """How a run ended; the counts are the ledger's."""

    counts: Mapping[JobState, int]
    stops: tuple[Stop, ...]

    @property
    def exit_code(self) -> int:
        """As tabled in the README: the first that applies of 4, 3, 5, 1 and 0."""
        left = remaining(self.counts)
        in_flight = left - self.counts.get(JobState.QUEUED, 0)
        if left and any(stop.account_refused for stop in self.stops):
            return 4
        if in_flight or (left and self.stops):
            return 3
        if self.counts.get(JobState.UNKNOWN):
            return 5
        return 1 if self.counts.get(JobState.FAILED) else 0


class Batch:
    """The flow: enroll, recover, and one crew that works until the last job has ended or somebody says stop."""

    def __init__(
        self,
        ledger: Ledger,
        service: Service,
        store: VideoStore,
        settings: Settings,
        *,
        clock: Clock | None = None,
        listener: Listener = nobody,
        rng: Random | None = None,
        seconds: Seconds = lambda _job: None,
        prices: Prices | None = None,
        moves: Container[JobState] = EVERY_STATE,
    ) -> None:
        """`moves` are the states in which the listener wants to hear of a job."""
        self._ledger = ledger
        self._settings = settings
        clock = clock or SystemClock()
        self._desk = Desk(ledger, clock, listener, prices, moves)
        self._patience = Patience()
        rng = rng or Random()  # noqa: S311 - spreads load
        self._crew = Crew(self._desk, ledger, service, store, settings, clock, rng, seconds, self._patience)

    @property
    def account(self) -> Account:
        """Slots, window and pause, as they are now."""
        return self._crew.account

    @property
    def moved(self) -> bool:
        """Whether any job has come into another state."""
        return self._desk.moved

    async def run(self, jobs: Iterable[Job], reading: Reading | None = None) -> Summary:
        """Run the batch to its end, or to a stop; what an earlier run left behind is collected first.

        `jobs` streams into the ledger, whole, before the first paid call; where the ledger knows by the `reading` that
        they are in it already, they are not read at all.
        Raises `UsageError` where a known row has changed or jobs cannot be bought, `FolderError` where the folder
        fails, and whatever `jobs` raises; nothing was submitted then, or everything submitted is on record.
        """
        with self._deadline():
            await self._enroll(jobs, reading)
            try:
                await self._recover()
                async with asyncio.TaskGroup() as group:
                    producing = self._crew.start(group)
                    await self._until_over(producing)
                    raise _Over  # the documented way to send the rest of a TaskGroup home
            except BaseExceptionGroup as errors:
                _raise_what_matters(errors, await self._desk.unrecorded(), self._desk.unsent())
            finally:
                self._crew.dismiss("the run ended")
        return await self._summary()

    def go_home(self, stop: Stop, grace: float | None = None) -> None:
        """Submit nothing more, ask nothing more, and end after a grace for what is under way (seconds)."""
        self._desk.stop(stop)
        self._crew.dismiss(stop.message)
        self._patience.shorten(self._settings.grace if grace is None else grace)

    @contextlib.contextmanager
    def _deadline(self) -> Iterator[None]:
        """The same stop as a signal's, on a clock."""
        limit = self._settings.max_runtime
        if limit is None:
            yield
            return
        stop = Stop("deadline", f"this run was given {limit:g} s")
        timer = asyncio.get_running_loop().call_later(limit, self.go_home, stop)
        try:
            yield
        finally:
            timer.cancel()

    async def _enroll(self, jobs: Iterable[Job], reading: Reading | None) -> None:
        """New rows become queued jobs; known rows must not have changed, unless the settings say what then.

        Whatever speaks against the purchase is said here, and nothing has changed then: no job is queued again.
        """
        if await self._is_enrolled(reading):
            await self._ledger.show(self._crew.approve)
            return
        on_changed, now = self._settings.on_changed, self._desk.now()
        enrolment = await self._ledger.enroll(self._unless_stopped(jobs), on_changed, now, reading, self._crew.approve)
        if enrolment.changed and on_changed == "error":
            raise UsageError(_changed_sentence(enrolment))
        if enrolment.left_total:
            in_flight = on_changed == "rerun"
            self._desk.tell(RowsKept(self._desk.now(), enrolment.left_total, enrolment.left[:_SHOWN], in_flight))

    async def _is_enrolled(self, reading: Reading | None) -> bool:
        if reading is None or reading.identity is None:
            return False
        last = await self._ledger.last_reading()
        return last is not None and last.identity == reading.identity

    def _unless_stopped(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """A stop need not wait for the end of a long manifest: the enrolment is undone as a whole."""
        for job in jobs:
            if self._crew.account.stopped:
                raise StoppedError
            yield job

    async def _recover(self) -> None:
        """What an earlier run left behind goes through the same doors as everything else."""
        settings, now = self._settings, self._desk.now()
        await self._crew.recall()
        await self._ledger.recover(at=now)
        if settings.retry_failed:
            await self._crew.take_back()
            await self._ledger.retry_failed(select=settings.select, at=now)
        if settings.resubmit_unknown:
            await self._ledger.resubmit_unknown(select=settings.select, at=now)
        await self._crew.open_budget()
        cursor = 0
        while page := await self._ledger.unfinished(after=cursor, limit=_PAGE):
            cursor = page[-1][0]
            for _, record in page:
                self._crew.adopt(record)
        counts = await self._ledger.counts()
        queued = await self._ledger.submit_queue_size(settings.select)
        to_submit = queued if settings.limit is None else min(queued, settings.limit)
        slots = self._crew.account.slots.limit
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        self._desk.tell(BatchStarted(self._desk.now(), counts, to_submit, slots, loop))
        self._crew.heed()

    async def _until_over(self, producing: "asyncio.Task[None]") -> None:
        """Wait for the last job to end, or for a stop and its grace."""
        async with self._patience.limit():
            await asyncio.wait({producing})
            await self._desk.until_idle()

    async def _summary(self) -> Summary:
        counts = await self._ledger.counts()
        self._desk.tell(BatchEnded(self._desk.now(), counts))
        return Summary(counts, tuple(self._desk.stops))


class _Over(Exception):  # noqa: N818 - not an error: the crew may go home
    """The crew has nothing more to do."""


def _raise_what_matters(
    group: BaseExceptionGroup[BaseException], unrecorded: Mapping[str, str], unsent: Sequence[str]
) -> None:
    """Nothing for the ordinary end; a known error of ours alone; a bug with all that belongs to it.

    Each tells of the tasks whose ids are in no ledger, and of the jobs that were not submitted though the ledger cannot
    know: a person can resolve both.
    """
    _, rest = group.split(_Over)
    if rest is None:
        return
    last_words = [*_unrecorded_lines(unrecorded), *_unsent_lines(unsent)]
    known, bugs = rest.split(PipelineError)
    if bugs is not None or known is None:
        raise BaseExceptionGroup("\n".join([rest.message, *last_words]), rest.exceptions) if last_words else rest
    error: BaseException = known
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if last_words:
        raise LedgerError("\n".join([str(error), *last_words])) from error
    raise error


def _unrecorded_lines(unrecorded: Mapping[str, str]) -> Iterator[str]:
    for job_id, task_id in unrecorded.items():
        yield f"job {job_id} has task {task_id}, which is not on record"
    if unrecorded:
        yield "to collect what was paid for, once the next run calls it unknown: pipeline resolve DIR JOB --task-id ID"


def _unsent_lines(unsent: Sequence[str]) -> Iterator[str]:
    for job_id in unsent:
        yield f"job {job_id} was not submitted, which is not on record"
    if unsent:
        yield "to buy it, where the next run calls it unknown: pipeline resolve DIR JOB --resubmit"


def _changed_sentence(enrolment: Enrolment) -> str:
    lines = [
        f"{job.source.file}:{job.source.line}: job {job.job_id} ({job.state}) is not what was enrolled from "
        f"{job.was.file}:{job.was.line}: {', '.join(job.differs[:_SHOWN])} changed"
        for job in enrolment.changed
    ]
    if enrolment.changed_total > len(lines):
        lines.append(f"… and {enrolment.changed_total - len(lines)} more")
    lines.append(
        "nothing was submitted; say --on-changed keep to leave these jobs as they were, or rerun to buy them anew"
    )
    return "\n".join(lines)
