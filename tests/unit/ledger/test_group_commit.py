"""Many transitions share one commit, fail alone when they conflict, and fail together when the disk does."""

import asyncio
import gc
import os
import resource
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import LedgerError
from pipeline.core.jobs import Failure, Job, JobState, Stage, StoredFile, Task, TaskReport, TaskState
from pipeline.ledger import RESULTS_NAME, Committer, InlineCommitter, Ledger, LedgerConflictError

MakeJob = Callable[..., Job]
TASK = Task("a1b2", "https://api.example.com")
REPORT = TaskReport(TaskState.SUCCEEDED, "Success")
COMMITTERS = pytest.mark.parametrize("kind", [Committer, InlineCommitter])
Kind = type[Committer] | type[InlineCommitter]


class Watched:
    """A committer whose hook counts commits, and fails them once it is told to."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.commits = 0
        self.failure: Exception | None = None

    def __call__(self, folder: Path) -> Committer | InlineCommitter:
        self.committer = self.kind(folder, self._before_commit)
        return self.committer

    def _before_commit(self) -> None:
        self.commits += 1
        if self.failure:
            raise self.failure


def intent(ledger: Ledger, job_id: str) -> asyncio.Future[int]:
    return ledger.intent(job_id, base_url=TASK.base_url, body_digest="d", at=5.0)


async def open_with(folder: Path, committer: Watched, jobs: list[Job]) -> Ledger:
    ledger = await Ledger.open(folder, run_id="r", at=1.0, committer=committer)
    await ledger.enroll(jobs, "error", 2.0)
    return ledger


@COMMITTERS
async def test_commits_are_few_when_a_thousand_transitions_come_at_once(
    kind: Kind, tmp_path: Path, make_job: MakeJob
) -> None:
    """Whatever gathers while one group is committed shares the next commit."""
    watched = Watched(kind)
    async with await open_with(tmp_path, watched, [make_job(f"j{n}") for n in range(1000)]) as ledger:
        before = watched.commits
        assert await asyncio.gather(*(intent(ledger, f"j{n}") for n in range(1000))) == [1] * 1000
        assert watched.commits - before <= 50
        assert (await ledger.counts())[JobState.SUBMITTING] == 1000


@COMMITTERS
async def test_one_commit_is_made_when_one_turn_of_the_loop_asks_for_much(
    kind: Kind, tmp_path: Path, make_job: MakeJob
) -> None:
    """What is asked for without a pause is one group, also when its first step finds the ledger idle."""
    watched = Watched(kind)
    async with await open_with(tmp_path, watched, [make_job(f"j{n}") for n in range(300)]) as ledger:
        before = watched.commits
        await asyncio.gather(*[intent(ledger, f"j{n}") for n in range(300)])
        assert watched.commits - before == 1


@COMMITTERS
async def test_others_are_committed_when_one_of_a_group_conflicts(
    kind: Kind, tmp_path: Path, make_job: MakeJob
) -> None:
    """A conflict is told to its own caller and to nobody else."""
    async with await open_with(tmp_path, Watched(kind), [make_job("a"), make_job("b")]) as ledger:
        answers = await asyncio.gather(
            intent(ledger, "a"), ledger.withdraw("b", 5.0), intent(ledger, "b"), return_exceptions=True
        )
    assert answers[0] == answers[2] == 1
    assert isinstance(answers[1], LedgerConflictError)


@COMMITTERS
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), ValueError("anything")])
async def test_everybody_gets_a_ledger_error_when_a_commit_fails(
    kind: Kind, failure: Exception, tmp_path: Path, make_job: MakeJob
) -> None:
    """Nothing of a failed group is there, nobody hangs, and every later call says at once that the ledger is broken."""
    watched = Watched(kind)
    ledger = await open_with(tmp_path, watched, [make_job(f"j{n}") for n in range(50)])
    watched.failure = failure

    async def ask(job_id: str) -> int:  # the thread may fail before the last one asks, who is then told at once
        return await intent(ledger, job_id)

    answers = await asyncio.gather(*(ask(f"j{n}") for n in range(50)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {LedgerError}
    watched.failure = None
    with pytest.raises(LedgerError):
        intent(ledger, "j0")
    with pytest.raises(LedgerError):
        await ledger.close(at=6.0)
    async with await Ledger.open(tmp_path, run_id="r2", at=7.0) as again:
        assert (await again.counts())[JobState.QUEUED] == 50
        assert await intent(again, "j0") == 1


async def test_ledger_is_intact_when_the_disk_was_full(tmp_path: Path, make_job: MakeJob) -> None:
    """SQLite's own "disk is full" breaks the ledger; what was acknowledged before is there on reopening."""
    watched = Watched(Committer)
    ledger = await open_with(tmp_path, watched, [make_job("a")])
    await intent(ledger, "a")
    await watched.committer.enqueue(_forbid_growth)
    large = (make_job(f"j{n}", metadata={"text": "x" * 1000}) for n in range(100_000))
    enrolled, counted = await asyncio.gather(
        ledger.enroll(large, "error", 2.0), ledger.counts(), return_exceptions=True
    )
    assert isinstance(enrolled, LedgerError)
    assert isinstance(counted, LedgerError)
    assert "disk is full" in enrolled.message
    with pytest.raises(LedgerError):
        ledger.counts()
    with pytest.raises(LedgerError):
        await ledger.close()
    async with await Ledger.open(tmp_path, run_id="r2", at=7.0) as again:
        counts = await again.counts()
    assert (sum(counts.values()), counts[JobState.SUBMITTING]) == (1, 1)


def _forbid_growth(connection: sqlite3.Connection) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 3}")


@COMMITTERS
async def test_acknowledged_end_is_exported_later_when_the_results_file_cannot_grow(
    kind: Kind, tmp_path: Path, make_job: MakeJob
) -> None:
    """An end that is durable is acknowledged even if its line does not reach the file; then the ledger is broken."""
    ledger = await open_with(tmp_path, Watched(kind), [make_job("a")])
    await intent(ledger, "a")
    ledger.accepted("a", TASK, 6.0)
    await ledger.finished("a", REPORT, 7.0)
    _replace_by_a_pipe_without_reader(tmp_path / RESULTS_NAME)
    await ledger.downloaded("a", (StoredFile("videos/a.mp4", 1, "00", "https://cdn.example.com/a"),), 8.0)
    with pytest.raises(LedgerError, match=RESULTS_NAME):
        ledger.counts()
    with pytest.raises(LedgerError):
        await ledger.close()
    async with await Ledger.open(tmp_path, run_id="r2", at=9.0) as again:
        assert (await again.counts())[JobState.DONE] == 1
        assert (tmp_path / RESULTS_NAME).read_text().count("\n") == 1


def _replace_by_a_pipe_without_reader(path: Path) -> None:
    """Make every write to the open results file fail, whichever descriptor it is."""
    reading, writing = os.pipe()
    os.close(reading)
    for name in Path("/proc/self/fd").iterdir():
        if name.exists() and name.resolve() == path.resolve():
            os.dup2(writing, int(name.name))
    os.close(writing)


async def test_every_waiting_call_fails_when_the_file_size_limit_is_reached(tmp_path: Path, make_job: MakeJob) -> None:
    """A real refused write (here: the limit of the process) is a LedgerError for everybody, and nothing is torn."""
    ledger = await open_with(tmp_path, Watched(Committer), [make_job(f"j{n}") for n in range(500)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        calls = [intent(ledger, f"j{n}") for n in range(500)]
        large = ledger.enroll((make_job(f"k{n}") for n in range(5000)), "error", 3.0)
        answers = await asyncio.gather(*calls, large, return_exceptions=True)
        with pytest.raises(LedgerError):
            await ledger.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(answers[-1], LedgerError)
    acknowledged = sum(answer == 1 for answer in answers[:-1])
    async with await Ledger.open(tmp_path, run_id="r2", at=7.0) as again:
        counts = await again.counts()
    assert (counts[JobState.SUBMITTING], sum(counts.values())) == (acknowledged, 500)


@COMMITTERS
async def test_transition_happens_when_its_caller_is_cancelled(kind: Kind, tmp_path: Path, make_job: MakeJob) -> None:
    """What was asked for is carried out, whoever stops waiting for it."""
    async with await open_with(tmp_path, Watched(kind), [make_job("a")]) as ledger:
        waiting = intent(ledger, "a")
        waiting.cancel()
        assert (await ledger.counts())[JobState.SUBMITTING] == 1


@COMMITTERS
async def test_order_of_calls_is_kept_when_nobody_awaits_them(kind: Kind, tmp_path: Path, make_job: MakeJob) -> None:
    """Transitions happen in the order of the calls, and a question sees everything asked for before it."""
    async with await open_with(tmp_path, Watched(kind), [make_job("a")]) as ledger:
        intent(ledger, "a")
        ledger.accepted("a", TASK, 6.0)
        ledger.finished("a", REPORT, 7.0)
        record = await ledger.record("a")
    assert record is not None
    assert record.state is JobState.FETCHING


@COMMITTERS
async def test_no_exception_is_lost_loudly_when_nobody_awaits_a_failed_commit(
    kind: Kind, tmp_path: Path, make_job: MakeJob
) -> None:
    """A broken ledger says so at the next call; futures that nobody holds do not complain when they go."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    watched = Watched(kind)
    ledger = await open_with(tmp_path, watched, [make_job("a")])
    watched.failure = OSError(28, "No space left on device")
    intent(ledger, "a")
    with pytest.raises(LedgerError):
        await ledger.counts()
    with pytest.raises(LedgerError):
        await ledger.close()
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


@COMMITTERS
async def test_queued_transitions_are_durable_when_the_ledger_closes(
    kind: Kind, tmp_path: Path, make_job: MakeJob
) -> None:
    """Closing carries out what was asked for; after it, a call is a bug."""
    ledger = await open_with(tmp_path, Watched(kind), [make_job("a")])
    intent(ledger, "a")
    await ledger.close(at=6.0)
    await ledger.close(at=7.0)
    with pytest.raises(RuntimeError, match="closed"):
        ledger.counts()
    async with await Ledger.open(tmp_path, run_id="r2", at=7.0) as again:
        assert (await again.counts())[JobState.SUBMITTING] == 1


async def test_error_of_the_block_is_raised_when_the_ledger_is_broken_as_well(
    tmp_path: Path, make_job: MakeJob
) -> None:
    """Leaving the block never covers the error that is already on its way."""
    watched = Watched(InlineCommitter)

    async def fail_twice() -> None:
        async with await open_with(tmp_path, watched, [make_job("a")]) as ledger:
            watched.failure = OSError(28, "No space left on device")
            intent(ledger, "a")
            raise KeyError("first")

    with pytest.raises(KeyError):
        await fail_twice()


async def test_uncommitted_transitions_are_gone_when_the_committer_crashes(tmp_path: Path, make_job: MakeJob) -> None:
    """A simulated crash leaves what was committed and nothing else; whoever waits is told."""
    watched = Watched(InlineCommitter)
    ledger = await open_with(tmp_path, watched, [make_job("a"), make_job("b")])
    await intent(ledger, "a")
    waiting = intent(ledger, "b")
    assert isinstance(watched.committer, InlineCommitter)
    watched.committer.crash()
    watched.committer.crash()
    with pytest.raises(LedgerError, match="abandoned"):
        await waiting
    with pytest.raises(LedgerError, match="abandoned"):
        ledger.counts()
    async with await Ledger.open(tmp_path, run_id="r2", at=7.0, committer="inline") as again:
        counts = await again.counts()
    assert (counts[JobState.SUBMITTING], counts[JobState.QUEUED]) == (1, 1)


async def test_ledger_is_closed_again_when_its_opening_is_cancelled(tmp_path: Path) -> None:
    """A cancelled opening is over when it says so, so that the next run meets nobody."""
    opening = asyncio.create_task(Ledger.open(tmp_path, run_id="r", at=1.0))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        assert sum((await ledger.counts()).values()) == 0


async def test_failed_job_lines_are_in_the_file_when_the_end_is_acknowledged(
    ledger: Ledger, tmp_path: Path, make_job: MakeJob
) -> None:
    """Whoever was told that a job ended finds its line in results.jsonl."""
    await ledger.enroll([make_job("a")], "error", 2.0)
    await intent(ledger, "a")
    await ledger.refused("a", Failure(Stage.SUBMIT, "param_error", "no"), 6.0)
    assert (tmp_path / RESULTS_NAME).read_text().count("\n") == 1
