"""What the engine asks of the ledger: pages in the order of enrolment, counts, runs, decisions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.jobs import Failure, Job, JobState, Stage, StoredFile, Task, TaskReport, TaskState
from pipeline.ledger import Ledger, LedgerReader, Run

MakeJob = Callable[..., Job]
TASK = Task("a1b2", "https://api.example.com")
REPORT = TaskReport(TaskState.SUCCEEDED, "Success", ("https://cdn.example.com/v.mp4",))
STORED = StoredFile("videos/a.mp4", 1, "00", "https://cdn.example.com/v.mp4")
FAILURE = Failure(Stage.SUBMIT, "timeout", "no answer")


async def begin(ledger: Ledger, *job_ids: str) -> None:
    for job_id in job_ids:
        await ledger.intent(job_id, base_url=TASK.base_url, body_digest="d", at=5.0)


async def test_pages_follow_the_manifest_when_jobs_are_taken_and_given_back(ledger: Ledger, make_job: MakeJob) -> None:
    """A pass over the queue meets each job once, in order; a withdrawn one waits for the next pass."""
    await ledger.enroll([make_job(job_id) for job_id in "dbca"], "error", 2.0)
    first = await ledger.queued(limit=2)
    assert [record.job.job_id for _, record in first] == ["d", "b"]
    await begin(ledger, "d", "b")
    await ledger.withdraw("d", 6.0)
    second = await ledger.queued(after=first[-1][0], limit=2)
    assert [record.job.job_id for _, record in second] == ["c", "a"]
    assert await ledger.queued(after=second[-1][0], limit=2) == []
    assert [record.job.job_id for _, record in await ledger.queued(limit=9)] == ["d", "c", "a"]


@pytest.mark.parametrize(
    ("select", "found"),
    [
        (None, ["a-1", "a-2", "A-1"]),
        ("a-*", ["a-1", "a-2"]),
        ("a-[!1]", ["a-2"]),
        ("a-[^1]", ["a-2"]),
        ("?-1", ["a-1", "A-1"]),
        ("z", []),
    ],
)
async def test_only_matching_jobs_are_listed_when_a_pattern_is_given(
    select: str | None, found: list[str], ledger: Ledger, make_job: MakeJob
) -> None:
    """The queue and its size follow the same shell pattern, case-sensitively."""
    await ledger.enroll([make_job(job_id) for job_id in ("a-1", "a-2", "A-1", "b-2-x")[:3]], "error", 2.0)
    assert [record.job.job_id for _, record in await ledger.queued(select=select, limit=9)] == found
    assert await ledger.submit_queue_size(select) == len(found)


async def test_unfinished_jobs_are_met_in_order_when_a_run_goes_on(ledger: Ledger, make_job: MakeJob) -> None:
    """What an earlier run left under way comes back page by page, ends and queued jobs left out."""
    await ledger.enroll([make_job(job_id) for job_id in "abcde"], "error", 2.0)
    await begin(ledger, "a", "b", "c", "e")
    for job_id in "abc":
        ledger.accepted(job_id, TASK, 6.0)
    ledger.finished("a", REPORT, 7.0)
    ledger.finished("c", REPORT, 7.0)
    ledger.downloaded("c", (STORED,), 8.0)
    first = await ledger.unfinished(limit=2)
    rest = await ledger.unfinished(after=first[-1][0], limit=2)
    assert [(record.job.job_id, record.state) for _, record in first + rest] == [
        ("a", JobState.FETCHING),
        ("b", JobState.RUNNING),
        ("e", JobState.SUBMITTING),
    ]
    assert [record.job.job_id for record in await ledger.records(JobState.QUEUED, limit=5)] == ["d"]
    assert await ledger.record("z") is None


async def test_every_state_is_counted_when_the_ledger_is_empty(ledger: Ledger) -> None:
    """Counts name every state, so that nobody has to guess at a missing one."""
    assert await ledger.counts() == dict.fromkeys(JobState, 0)


async def test_decisions_are_carried_out_when_answers_were_lost(ledger: Ledger, make_job: MakeJob) -> None:
    """A person gives an unknown job its task, buys it again, or writes it off; a setting buys the rest again."""
    await ledger.enroll([make_job(job_id) for job_id in "abcd"], "error", 2.0)
    await begin(ledger, *"abcd")
    for job_id in "abc":
        await ledger.lost(job_id, FAILURE, 6.0)
    assert await ledger.recover(7.0) is not None
    await ledger.resolve_task("a", TASK, 8.0)
    await ledger.resolve_resubmit("b", 8.0)
    await ledger.resolve_write_off("c", 8.0, "given up by hand")
    assert await ledger.resubmit_unknown(None, 9.0) == 1
    states = [(await ledger.record(job_id)) for job_id in "abcd"]
    assert [record.state for record in states if record] == [
        JobState.RUNNING,
        JobState.QUEUED,
        JobState.FAILED,
        JobState.QUEUED,
    ]
    await ledger.vanished("a", Failure(Stage.GENERATE, "not_found", "no such task"), 10.0)
    assert (await ledger.counts())[JobState.UNKNOWN] == 1


async def test_failures_are_recorded_when_tasks_and_downloads_fail(ledger: Ledger, make_job: MakeJob) -> None:
    """Each way to fail leaves its reason on record; fresh URLs replace the old ones."""
    await ledger.enroll([make_job(job_id) for job_id in "ab"], "error", 2.0)
    await begin(ledger, "a", "b")
    ledger.accepted("a", TASK, 6.0)
    ledger.accepted("b", TASK, 6.0)
    moderation = Failure(Stage.GENERATE, "moderation", "refused")
    await ledger.task_failed("a", REPORT, moderation, 7.0)
    ledger.finished("b", REPORT, 7.0)
    ledger.refreshed("b", TaskReport(TaskState.SUCCEEDED, "Success", ("https://cdn.example.com/fresh",)), 8.0)
    gone = Failure(Stage.DOWNLOAD, "too_large", "no", 200)
    await ledger.download_failed("b", gone, 9.0, final=True)
    records = await ledger.records(JobState.FAILED, limit=5)
    assert [record.outcome.failure for record in records if record.outcome] == [moderation, gone]
    assert records[1].report is not None
    assert records[1].report.urls == ("https://cdn.example.com/fresh",)
    assert await ledger.retry_failed(None, 10.0) == 2


async def test_runs_are_remembered_when_one_of_them_was_killed(tmp_path: Path) -> None:
    """Each opening is a run; only one that was closed in good order has an end."""
    for run_id, at, ended in (("r1", 1.0, 2.0), ("r2", 3.0, None), ("r3", 5.0, 6.0)):
        ledger = await Ledger.open(tmp_path, run_id=run_id, at=at)
        await ledger.close(at=ended)
    with LedgerReader(tmp_path) as reader:
        assert reader.runs() == [Run("r1", 1.0, 2.0), Run("r2", 3.0, None), Run("r3", 5.0, 6.0)]
