"""Queued jobs are counted and listed by kind, so that a run can choose which kind to submit first."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pipeline.core.jobs import Job, JobState, LocalFile, MediaForm
from pipeline.ledger import LEDGER_NAME, Ledger, enrolment, queries, schema, transitions

MakeJob = Callable[..., Job]
BringTo = Callable[..., None]
MODEL = "Wan-AI/Wan2.2-I2V"
SMALL, LARGE = f"{MODEL} 480P", f"{MODEL} 720P"


def sized(make_job: MakeJob, job_id: str, resolution: str) -> Job:
    return make_job(job_id, parameters={"resolution": resolution})


async def test_queued_jobs_are_counted_by_kind_when_some_are_taken(ledger: Ledger, make_job: MakeJob) -> None:
    """Only what waits is counted, and only what matches; a kind of which nothing waits is not named."""
    sizes = {"a1": "480P", "a2": "720P", "b1": "480P", "b2": "720P", "b3": "720P"}
    assert await ledger.kinds() == {}
    await ledger.enroll([sized(make_job, *one) for one in sizes.items()], "error", 1.0)
    assert await ledger.kinds() == {SMALL: 2, LARGE: 3}
    assert await ledger.kinds("b*") == {SMALL: 1, LARGE: 2}
    assert await ledger.kinds("c*") == {}
    for job_id in ("a1", "b1"):
        await ledger.intent(job_id, base_url="https://api.example.com", body_digest="d", at=2.0)
    assert await ledger.kinds() == {LARGE: 3}
    await ledger.withdraw("b1", 3.0)
    assert await ledger.kinds() == {SMALL: 1, LARGE: 3}


async def test_pages_of_a_kind_follow_the_manifest_when_kinds_are_mixed(ledger: Ledger, make_job: MakeJob) -> None:
    """A kind is listed in the order of enrolment, page by page, by pattern too, until an empty page."""
    await ledger.enroll([sized(make_job, f"j{n}", ("480P", "720P")[n % 2]) for n in range(10)], "error", 1.0)

    async def ids(cursor: int, **which: str) -> tuple[list[str], int]:
        page = await ledger.queued(after=cursor, limit=2, **which)  # type: ignore[arg-type] # kind and select
        return [record.job.job_id for _, record in page], page[-1][0] if page else 0

    first, cursor = await ids(0, kind=LARGE)
    second, cursor = await ids(cursor, kind=LARGE)
    third, cursor = await ids(cursor, kind=LARGE)
    assert [*first, *second, *third] == ["j1", "j3", "j5", "j7", "j9"]
    assert await ids(cursor, kind=LARGE) == ([], 0)
    assert (await ids(0, kind=LARGE, select="j[79]"))[0] == ["j7", "j9"]
    assert (await ids(0, kind="another"))[0] == []


def test_kind_follows_the_row_when_it_is_bought_anew(connection: sqlite3.Connection, make_job: MakeJob) -> None:
    """A changed row that is run again waits among the jobs of its new kind."""
    enrolment.enroll(connection, [sized(make_job, "a", "480P")], "error", 1.0)
    changed = make_job("a", digest="other", parameters={"resolution": "720P"})
    enrolment.enroll(connection, [changed], "rerun", 2.0)
    assert queries.kinds(connection, None) == {LARGE: 1}


def test_job_waits_among_its_kind_again_when_it_is_retried(connection: sqlite3.Connection, bring_to: BringTo) -> None:
    """The kind stays with the job through all of its states."""
    bring_to(connection, JobState.FAILED)
    assert queries.kinds(connection, None) == {}
    transitions.retry_failed(connection, None, 5.0)
    assert queries.kinds(connection, None) == {LARGE: 1}


def test_no_row_is_read_when_kinds_are_counted(connection: sqlite3.Connection) -> None:
    """An index alone knows how many wait of each kind, and where they stand; a million rows stay unread."""
    counting = " ".join(row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {queries._KINDS}"))
    assert "COVERING INDEX jobs_waiting" in counting
    listing = [
        row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {queries._QUEUED_OF_KIND}", ("", 0, "*", 1))
    ]
    assert listing == ["SEARCH jobs USING INDEX jobs_waiting (kind=? AND state=? AND rowid>?)"]


def test_kinds_are_known_when_an_older_ledger_is_opened(tmp_path: Path, make_job: MakeJob) -> None:
    """Rows that were enrolled before there were kinds get theirs, whatever stands in them."""
    file = LocalFile("input.image_url", "/pictures/\udcff.png", "00" * 32, 3, "image/png", MediaForm.DATA_URI)
    jobs = [sized(make_job, "a", "480P"), make_job("b", files=(file,)), make_job("c", parameters={"size": "\ud800"})]
    with closing(sqlite3.connect(tmp_path / LEDGER_NAME, isolation_level=None)) as older:
        schema.migrate(older, schema.MIGRATIONS[:1])
        for job in jobs:
            older.execute(
                "INSERT INTO jobs (job_id, digest, output, spec, state, moved_at) VALUES (?, ?, ?, ?, 'queued', 1.0)",
                (job.job_id, job.digest, job.output, enrolment.spec_of(job)),
            )
    with closing(schema.open_for_writing(tmp_path)) as connection:
        assert queries.kinds(connection, None) == {SMALL: 1, LARGE: 1, f"{MODEL} \ufffd": 1}
        assert [record.job for _, record in queries.queued(connection, None, 0, 5)] == jobs
