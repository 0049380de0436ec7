"""The ledger as the engine sees it: one method for each transition, each an awaitable that is done when it is durable.

A transition is queued at the moment of the call and in the order of the calls. Its caller awaits it where it must be
durable before the next step (the intent, the task id), and goes on at once where not. Questions take the same queue, so
that they see everything that was asked for before them. Times are Unix seconds and come from the caller.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pipeline.core.errors import LedgerError
from pipeline.core.jobs import Failure, Job, JobState, Record, StoredFile, Task, TaskReport
from pipeline.core.money import Actual, Quote, Spending
from pipeline.ledger import enrolment, overview, purchases, queries, transitions
from pipeline.ledger.enrolment import Enrolment, OnChanged, Reading
from pipeline.ledger.purchases import Kept
from pipeline.ledger.queries import Waiting
from pipeline.ledger.transitions import Recovery
from pipeline.ledger.writer import Committer, InlineCommitter

AnyCommitter = Committer | InlineCommitter

_UNTOLD = Actual()
_COMMITTERS: dict[str, Callable[[Path], AnyCommitter]] = {"thread": Committer, "inline": InlineCommitter}


class Ledger:
    """What is true about every job of a batch. Whoever opens it holds the folder's lock.

    Every method raises `LedgerError` (at once, or when awaited) where the ledger cannot go on. A transition that the
    job's state does not allow raises `LedgerConflictError`, which is a bug of the caller.
    """

    def __init__(self, committer: AnyCommitter, run_id: str) -> None:
        self._committer = committer
        self._enqueue = committer.enqueue
        self._run_id = run_id
        self._closing = False

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        run_id: str,
        at: float,
        counts_as_run: bool = True,
        committer: Literal["thread", "inline"] | Callable[[Path], AnyCommitter] = "thread",
    ) -> Self:
        """Open or create the folder's ledger, mend its results file, and note that a run began.

        `counts_as_run` is false for a person's decision or a check, which is no run over the batch.
        Raises `LedgerError` where the file is damaged, foreign, made by a newer version, or cannot be written.
        """
        make = _COMMITTERS[committer] if isinstance(committer, str) else committer
        chosen = make(folder)
        await chosen.start()
        ledger = cls(chosen, run_id)
        try:
            if counts_as_run:
                await ledger._enqueue(transitions.begin_run, run_id, at)
        except BaseException:
            await ledger._close_quietly()
            raise
        return ledger

    async def close(self, at: float | None = None) -> None:
        """Carry out what is queued, finish the results file, and close; `at` is when the run ended in good order.

        Raises `LedgerError` where the ledger is broken.
        """
        try:
            if at is not None and not self._closing:
                await self._enqueue(transitions.end_run, self._run_id, at)
        finally:
            self._closing = True
            await self._committer.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        else:
            await self._close_quietly()

    async def _close_quietly(self) -> None:
        """Close behind an error that is already on its way and says more."""
        with suppress(LedgerError):
            await self.close()

    # -- enrolling and beginning ------------------------------------------------------------------------------------

    def enroll(
        self,
        jobs: Iterable[Job],
        on_changed: OnChanged,
        at: float,
        reading: Reading | None = None,
        approve: Callable[[Waiting], None] | None = None,
    ) -> asyncio.Future[Enrolment]:
        """Enroll a manifest's jobs in one transaction; `jobs` is iterated on the ledger's thread and never held whole.

        With `error`, a changed job means that nothing is enrolled; the answer names the changed ones. What else happens
        to changed rows stands at `enrolment.enroll`. Raises `UsageError` where two jobs would write the same output,
        and whatever iterating raises; then, too, nothing is enrolled.

        `approve` is called on the ledger's thread with what a run could submit then: nothing is enrolled where it
        raises.

        `reading` says by what the manifest can be known again; `last_reading` tells it where nothing speaks against it.
        """
        return self._enqueue(enrolment.enroll, jobs, on_changed, at, reading, approve)

    def show(self, approve: Callable[[Waiting], None]) -> asyncio.Future[None]:
        """Show what a run could submit now, on the ledger's thread. Raises whatever `approve` raises."""
        return self._enqueue(lambda connection: approve(Waiting(connection)))

    def last_reading(self) -> asyncio.Future[Reading | None]:
        """The reading that the last enrolment was made of, where enrolling the same again would change nothing."""
        return self._enqueue(enrolment.last_reading)

    def recover(self, at: float) -> asyncio.Future[Recovery]:
        """submitting → unknown, and failed at a download that was not given up → fetching. Once, before the crew."""
        return self._enqueue(transitions.recover, self._run_id, at)

    def retry_failed(self, select: str | None, at: float) -> asyncio.Future[int]:
        """failed → queued where the id matches the shell pattern: another paid attempt each. Returns how many."""
        return self._enqueue(transitions.retry_failed, select, at)

    def resubmit_unknown(self, select: str | None, at: float) -> asyncio.Future[int]:
        """unknown → queued where the id matches the shell pattern: some may be paid twice. Returns how many."""
        return self._enqueue(transitions.resubmit_unknown, select, at)

    # -- questions --------------------------------------------------------------------------------------------------

    def counts(self) -> asyncio.Future[dict[JobState, int]]:
        """How many jobs are in each state, every state named."""
        return self._enqueue(overview.counts)

    def submit_queue_size(self, select: str | None = None) -> asyncio.Future[int]:
        """How many queued jobs match the shell pattern."""
        return self._enqueue(queries.submit_queue_size, select)

    def kinds(self, select: str | None = None) -> asyncio.Future[dict[str, int]]:
        """How many queued jobs that match the shell pattern are of each `Job.kind`; kinds without any are left out."""
        return self._enqueue(queries.kinds, select)

    def queued(
        self, *, select: str | None = None, after: int = 0, limit: int, kind: str | None = None
    ) -> asyncio.Future[queries.Page]:
        """Up to `limit` queued jobs that match the shell pattern, each with its cursor, in the order of enrolment.

        With `kind`, only jobs of that `Job.kind`; the cursors of a kind and of all are the same scale. A page ends
        early where its jobs are heavy, and the pass is over with the first empty page. A job that is queued again
        while the cursor is beyond it is not met again in this pass.
        """
        return self._enqueue(queries.queued, select, after, limit, kind)

    def unfinished(self, *, after: int = 0, limit: int) -> asyncio.Future[queries.Page]:
        """Up to `limit` jobs in submitting, running or fetching, each with its cursor, in the order of enrolment."""
        return self._enqueue(queries.unfinished, after, limit)

    def record(self, job_id: str) -> asyncio.Future[Record | None]:
        """What is known of one job; None where it is not enrolled."""
        return self._enqueue(queries.record, job_id)

    def records(self, state: JobState, *, limit: int) -> asyncio.Future[list[Record]]:
        """The first `limit` jobs in a state."""
        return self._enqueue(queries.records, state, limit)

    # -- what attempts cost -----------------------------------------------------------------------------------------

    def spending(self) -> asyncio.Future[list[Spending]]:
        """What all attempts of this folder came to, by currency."""
        return self._enqueue(purchases.spending)

    def kept(self) -> asyncio.Future[list[Kept]]:
        """The attempts whose worst case is held back and that a run may still learn something about."""
        return self._enqueue(purchases.kept)

    def price(self, quote: Callable[[Job], Quote]) -> asyncio.Future[int]:
        """Price what was bought without a price. Returns for how many attempts nothing is known today either.

        `quote` is called on the ledger's thread.
        """
        return self._enqueue(purchases.price, quote)

    def survey(self, see: Callable[[Job], None], *, select: str | None, limit: int | None) -> asyncio.Future[None]:
        """Show every queued job that matches the shell pattern, in the order of enrolment; never all in memory.

        `see` is called on the ledger's thread.
        """
        return self._enqueue(queries.survey, see, select, limit)

    # -- what runs remember -----------------------------------------------------------------------------------------

    def remember(self, key: str, text: str) -> asyncio.Future[None]:
        """Keep a text (JSON, say) for later runs under a key of the caller's; it replaces what the key held.

        Durable when awaited, and there is no need to await it. Texts of megabytes are what `jobs` is for, not this.
        """
        return self._enqueue(transitions.remember, key, text)

    def recall(self, key: str) -> asyncio.Future[str | None]:
        """What was last remembered under the key, by this run or an earlier one; None where nothing was."""
        return self._enqueue(overview.recall, key)

    # -- submitting -------------------------------------------------------------------------------------------------

    def intent(
        self,
        job_id: str,
        *,
        base_url: str,
        body_digest: str,
        at: float,
        external_id: str | None = None,
        quote: Quote | None = None,
        owner: str = "local",
        epoch: int = 0,
    ) -> asyncio.Future[int]:
        """queued → submitting, with what it may cost. Await it before the request leaves; returns the attempt."""
        return self._enqueue(transitions.intent, job_id, base_url, body_digest, at, owner, epoch, external_id, quote)

    def withdraw(self, job_id: str, at: float, *, doubted: bool = False) -> asyncio.Future[None]:
        """submitting → queued: surely nothing was created; where that was ever in doubt, its price stays held back."""
        return self._enqueue(transitions.withdraw, job_id, at, doubted=doubted)

    def accepted(self, job_id: str, task: Task, at: float) -> asyncio.Future[None]:
        """submitting → running; also unknown → running where the answer to a lost submit comes after all."""
        return self._enqueue(transitions.accepted, job_id, task, at)

    def refused(self, job_id: str, failure: Failure, at: float) -> asyncio.Future[None]:
        """submitting → failed, or queued → failed where this machine refused before the intent: nothing was created."""
        return self._enqueue(transitions.refused, self._run_id, job_id, failure, at)

    def lost(self, job_id: str, failure: Failure, at: float) -> asyncio.Future[None]:
        """submitting → unknown: a task may exist."""
        return self._enqueue(transitions.lost, self._run_id, job_id, failure, at)

    # -- the task ---------------------------------------------------------------------------------------------------

    def finished(
        self, job_id: str, report: TaskReport, at: float, actual: Actual | None = None
    ) -> asyncio.Future[None]:
        """running → fetching: the task ended well, and came to what its usage says."""
        return self._enqueue(transitions.finished, job_id, report, at, actual or _UNTOLD)

    def task_failed(self, job_id: str, report: TaskReport | None, failure: Failure, at: float) -> asyncio.Future[None]:
        """running → failed: the task ended badly."""
        return self._enqueue(transitions.task_failed, self._run_id, job_id, report, failure, at)

    def vanished(self, job_id: str, failure: Failure, at: float) -> asyncio.Future[None]:
        """running → unknown: the service no longer knows the task."""
        return self._enqueue(transitions.vanished, self._run_id, job_id, failure, at)

    # -- the videos -------------------------------------------------------------------------------------------------

    def refreshed(self, job_id: str, report: TaskReport, at: float) -> asyncio.Future[None]:
        """fetching, with the URLs of a newer answer."""
        return self._enqueue(transitions.refreshed, job_id, report, at)

    def claim(self, job_id: str, output: str) -> asyncio.Future[bool]:
        """Reserve an output for a job's second, third, … video; False where it belongs to another job."""
        return self._enqueue(transitions.claim, job_id, output)

    def downloaded(self, job_id: str, files: tuple[StoredFile, ...], at: float) -> asyncio.Future[None]:
        """fetching → done: every video is on disk."""
        return self._enqueue(transitions.downloaded, self._run_id, job_id, files, at)

    def download_failed(self, job_id: str, failure: Failure, at: float, *, final: bool) -> asyncio.Future[None]:
        """fetching → failed; unless that is final, the next run's `recover` tries the download again without paying."""
        return self._enqueue(transitions.download_failed, self._run_id, job_id, failure, at, final=final)

    def fetch_again(self, job_id: str, at: float) -> asyncio.Future[None]:
        """done → fetching: a video is no longer what its record says, and the next run fetches it without paying."""
        return self._enqueue(transitions.fetch_again, job_id, at)

    def found_whole(self, job_id: str, at: float) -> asyncio.Future[None]:
        """fetching or failed → done: the videos on record are on the disk, as they were."""
        return self._enqueue(transitions.found_whole, job_id, at)

    def stored(self, state: JobState) -> asyncio.Future[list[queries.Stored]]:
        """The jobs in a state that have videos on record."""
        return self._enqueue(lambda connection: list(queries.stored(connection, (state,))))

    # -- a person's decision ----------------------------------------------------------------------------------------

    def resolve_task(self, job_id: str, task: Task, at: float) -> asyncio.Future[None]:
        """unknown → running: somebody found the task."""
        return self._enqueue(transitions.resolve_task, job_id, task, at)

    def resolve_resubmit(self, job_id: str, at: float) -> asyncio.Future[None]:
        """unknown → queued: somebody decided to buy another attempt."""
        return self._enqueue(transitions.resolve_resubmit, job_id, at)

    def resolve_write_off(self, job_id: str, at: float, message: str) -> asyncio.Future[None]:
        """unknown → failed with the code `written_off`."""
        return self._enqueue(transitions.resolve_write_off, self._run_id, job_id, at, message)
