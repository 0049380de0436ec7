"""The driver's side of the flow: what is true about each job, and what everybody is told about it.

The crew (producer, pollers, downloaders) owns no ledger. Whatever it does to a job it reports here, and each report is
one ledger transition and one event. Methods that end a job return when the end is durable.
"""

import asyncio
import functools
from collections.abc import Container
from dataclasses import replace

from pipeline.core.body import Body
from pipeline.core.clock import Clock
from pipeline.core.events import CallFailed, Event, JobLeft, JobMoved, Listener, Stopping
from pipeline.core.jobs import EVERY_STATE, Failure, JobState, Outcome, Record, StoredFile, Task, TaskReport
from pipeline.core.money import Actual, Quote
from pipeline.core.ports import Prices
from pipeline.core.values import Value
from pipeline.engine.budget import Budget, Unpriced, Verdict
from pipeline.ledger import Ledger


class Stop(Value):
    """Why something is not submitted in this run any more."""

    reason: str
    """Short and stable: `signal`, `deadline`, `refused`, `disk`, `downloads`, `outage`, `lost_answers`, `budget`."""
    message: str
    account_refused: bool = False
    enough: str = ""
    """Options of a run under which what a cap forbids may be bought; empty where no cap stopped it."""


class Desk:
    """One method for each thing that can happen to a job."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        listener: Listener,
        prices: Prices | None = None,
        moves: Container[JobState] = EVERY_STATE,
    ) -> None:
        """`moves` are the states in which the listener wants to hear of a job; no event is made of the others."""
        self._ledger = ledger
        self._clock = clock
        self._listener = listener
        self._moves = moves
        self.moved = False
        """Whether any job came into another state."""
        self.prices = prices or Unpriced()
        self.budget = Budget()
        self._in_hand: set[str] = set()
        self._empty_handed = asyncio.Event()
        self._empty_handed.set()
        self._unrecorded: dict[str, str] = {}
        """Ids of tasks that are not durable yet, by job."""
        self._unsent: set[str] = set()
        """Jobs that were not submitted, where the ledger could not take back that they are about to be."""
        self._writing: set[asyncio.Future[None]] = set()
        self.stops: list[Stop] = []
        """Every reason why submitting ended early, in order."""

    # -- what the crew holds ----------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether the crew holds no job."""
        return not self._in_hand

    async def until_idle(self) -> None:
        """Wait until the crew holds no job."""
        await self._empty_handed.wait()

    def take(self, record: Record) -> None:
        """A job comes into the crew's hands."""
        self._in_hand.add(record.job.job_id)
        self._empty_handed.clear()
        if record.state is not JobState.QUEUED:
            self.budget.watch(record.job.job_id)

    def let_go(self, record: Record) -> None:
        """A job leaves the crew's hands."""
        self._in_hand.discard(record.job.job_id)
        if not self._in_hand:
            self._empty_handed.set()

    def leave(self, record: Record, reason: str) -> None:
        """The job keeps its state for the next run."""
        self.let_go(record)
        self.budget.close(record.job.job_id)
        self.tell(JobLeft(self.now(), record.job.job_id, record.state, reason))

    # -- submitting -------------------------------------------------------------------------------------------------

    def affordable(self, record: Record) -> Verdict:
        """Whether another attempt of the job keeps within the budget, as far as is known now."""
        if not self.budget.caps.limits_anything:
            return Verdict.FITS
        return self.budget.verdict(record.job.job_id, self.prices.quote(record.job))

    async def intend(self, record: Record, body: Body, base_url: str) -> Record | None:
        """Write down that the paid request is about to leave, and what it may cost; None where the budget forbids it.

        What is checked is reserved in the same step, before anybody else can look. Durable on return; cancelled, it is
        taken back.
        """
        now, job = self.now(), record.job
        quote = self.prices.quote(job)
        if not self.budget.reserve(job.job_id, quote):
            return None
        written = self._ledger.intent(
            job.job_id, base_url=base_url, body_digest=body.sha256, at=now, external_id=record.external_id, quote=quote
        )
        try:
            attempt = await written
        except asyncio.CancelledError:
            self._take_back(job.job_id)  # the request never left
            self.budget.release(job.job_id)
            raise
        begun = _in_state(record, JobState.SUBMITTING, attempt=attempt, submitted_at=now, base_url=base_url)
        return self._moved(begun, quote=quote)

    def withdraw(self, record: Record, *, doubted: bool = False) -> Record:
        """The request surely created nothing: the job is queued again, as if it had not been tried.

        Where that was in doubt, what it may have cost stays reserved for its next try, which has the same id of ours.
        """
        self._take_back(record.job.job_id, doubted=doubted)
        self.budget.release(record.job.job_id, doubted=doubted)
        return self._moved(replace(record, state=JobState.QUEUED, attempt=record.attempt - 1, submitted_at=None))

    async def accepted(self, record: Record, task: Task) -> Record:
        """The service has the task. Its id is durable on return."""
        now, job_id = self.now(), record.job.job_id
        self._unrecorded[job_id] = task.task_id
        written, heard = self._ledger.accepted(job_id, task, at=now), asyncio.get_running_loop().create_future()
        self._writing.add(written)
        written.add_done_callback(functools.partial(self._note, job_id, heard))
        await heard  # whoever is sent home meanwhile leaves it to `unrecorded` how that went
        return self._moved(_in_state(record, JobState.RUNNING, task=task, submitted_at=now))

    async def unrecorded(self) -> dict[str, str]:
        """The tasks whose ids the ledger did not take, by job, once that is known of each: nobody else has them."""
        if self._writing:
            await asyncio.wait(self._writing)
        return dict(self._unrecorded)

    def unsent(self) -> list[str]:
        """The jobs that the next run will not know not to have been submitted, once `unrecorded` has returned."""
        return sorted(self._unsent)

    def _take_back(self, job_id: str, *, doubted: bool = False) -> None:
        self._unsent.add(job_id)  # unless the ledger takes it
        written = self._ledger.withdraw(job_id, at=self.now(), doubted=doubted)
        self._writing.add(written)
        written.add_done_callback(functools.partial(self._note_withdrawal, job_id))

    def _note_withdrawal(self, job_id: str, written: "asyncio.Future[None]") -> None:
        self._writing.discard(written)
        if written.exception() is None:
            self._unsent.discard(job_id)

    def _note(self, job_id: str, heard: "asyncio.Future[None]", written: "asyncio.Future[None]") -> None:
        """The ledger has taken the id of a job's task, or not."""
        self._writing.discard(written)
        error = written.exception()
        if error is None:
            del self._unrecorded[job_id]
        if heard.done():
            return
        if error is None:
            heard.set_result(None)
        else:
            heard.set_exception(error)

    async def refused(self, record: Record, failure: Failure) -> None:
        """The job cannot be submitted as it is."""
        await self._ledger.refused(record.job.job_id, failure, at=self.now())
        if record.state is JobState.SUBMITTING:
            self.budget.release(record.job.job_id)
        self._end(record, JobState.FAILED, failure)

    async def lost(self, record: Record, failure: Failure) -> None:
        """The answer was lost: a task may exist."""
        await self._ledger.lost(record.job.job_id, failure, at=self.now())
        self._end(record, JobState.UNKNOWN, failure)

    def abandon(self, record: Record, failure: Failure) -> None:
        """As `lost`, for a crew that is being sent home and cannot wait until it is durable."""
        self._ledger.lost(record.job.job_id, failure, at=self.now())
        self._end(record, JobState.UNKNOWN, failure)

    # -- the task ---------------------------------------------------------------------------------------------------

    def finished(self, record: Record, report: TaskReport) -> Record:
        """The task ended well; its videos are to be fetched. Were this lost in a crash, we would ask again."""
        actual = self.prices.actual(record.job, report.usage)
        self._ledger.finished(record.job.job_id, report, at=self.now(), actual=actual)
        self.budget.settle(record.job.job_id, actual)
        return self._moved(_in_state(record, JobState.FETCHING, report=report), actual=actual)

    async def task_failed(self, record: Record, report: TaskReport, failure: Failure) -> None:
        """The task ended badly."""
        await self._ledger.task_failed(record.job.job_id, report, failure, at=self.now())
        self._end(record, JobState.FAILED, failure)

    async def vanished(self, record: Record, failure: Failure) -> None:
        """The service says that it does not know the task."""
        await self._ledger.vanished(record.job.job_id, failure, at=self.now())
        self._end(record, JobState.UNKNOWN, failure)

    # -- the videos -------------------------------------------------------------------------------------------------

    def refreshed(self, record: Record, report: TaskReport) -> Record:
        """The service gave fresh URLs."""
        self._ledger.refreshed(record.job.job_id, report, at=self.now())
        return replace(record, report=report)

    async def claim(self, record: Record, output: str) -> bool:
        """Whether the job may write this output beside its own; False where it belongs to another job."""
        return await self._ledger.claim(record.job.job_id, output)

    async def downloaded(self, record: Record, files: tuple[StoredFile, ...]) -> None:
        """Every video is on disk, whole."""
        await self._ledger.downloaded(record.job.job_id, files, at=self.now())
        self._end(record, JobState.DONE, files=files)

    async def download_failed(self, record: Record, failure: Failure, *, final: bool) -> None:
        """The videos did not come; unless that is final, the next run tries again without paying."""
        await self._ledger.download_failed(record.job.job_id, failure, at=self.now(), final=final)
        self._end(record, JobState.FAILED, failure)

    # -- telling ----------------------------------------------------------------------------------------------------

    def stop(self, stop: Stop) -> None:
        """Remember and tell why submitting ends early."""
        if stop in self.stops:
            return
        self.stops.append(stop)
        self.tell(Stopping(self.now(), stop.reason, stop.message))

    def call_failed(self, call: str, record: Record, code: str, message: str, retry_in: float) -> None:
        """Tell of a call that will be made again."""
        self.tell(CallFailed(self.now(), call, record.job.job_id, code, message, retry_in))

    def tell(self, event: Event) -> None:
        """Hand an event to whoever listens."""
        self._listener(event)

    def now(self) -> float:
        """Unix seconds."""
        return self._clock.time()

    def _end(
        self,
        record: Record,
        state: JobState,
        failure: Failure | None = None,
        files: tuple[StoredFile, ...] = (),
    ) -> None:
        self.let_go(record)
        self.budget.close(record.job.job_id)
        self._tell_move(record, state, Outcome(state, files, failure))

    def _moved(self, record: Record, *, quote: Quote | None = None, actual: Actual | None = None) -> Record:
        self._tell_move(record, record.state, record.outcome, quote, actual)
        return record

    def _tell_move(
        self,
        record: Record,
        state: JobState,
        outcome: Outcome | None,
        quote: Quote | None = None,
        actual: Actual | None = None,
    ) -> None:
        self.moved = True
        if state not in self._moves:
            return
        task_id = record.task.task_id if record.task is not None else None
        moved = JobMoved(self._clock.time(), record.job, state, record.attempt, task_id, outcome, quote, actual)
        self._listener(moved)


def _in_state(
    record: Record,
    state: JobState,
    *,
    attempt: int | None = None,
    task: Task | None = None,
    report: TaskReport | None = None,
    submitted_at: float | None = None,
    base_url: str | None = None,
) -> Record:
    """The record as it moved into a state; what is not named stays. Much quicker than `dataclasses.replace`."""
    return Record(
        record.job,
        state,
        record.attempt if attempt is None else attempt,
        task or record.task,
        report or record.report,
        record.submitted_at if submitted_at is None else submitted_at,
        record.outcome,
        record.external_id,
        base_url or record.base_url,
    )
