"""Whoever only looks sees one moment of the ledger, also while a run writes."""

import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.core.errors import LedgerError, UsageError
from pipeline.core.jobs import Failure, Job, JobState, Stage, StoredFile, Task, TaskReport, TaskState
from pipeline.core.money import Actual, Quote
from pipeline.ledger import LEDGER_NAME, RESULTS_NAME, FailureGroup, Ledger, LedgerReader

MakeJob = Callable[..., Job]
TASK = Task("a1b2", "https://api.example.com")
REPORT = TaskReport(TaskState.SUCCEEDED, "Success")
FILES = (
    StoredFile("videos/a.mp4", 1, "00", "https://cdn.example.com/1"),
    StoredFile("videos/a-2.mp4", 2, "01", "https://cdn.example.com/2"),
)


async def submit(ledger: Ledger, job_id: str) -> None:
    await ledger.intent(job_id, base_url="https://api.example.com", body_digest="0a1b", at=5.0)


async def test_reader_sees_one_moment_when_a_run_is_writing(tmp_path: Path, make_job: MakeJob) -> None:
    """Looking neither waits for the run nor holds it up, and does not mix two moments."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        await ledger.enroll([make_job("a"), make_job("b")], "error", 2.0)
        with LedgerReader(tmp_path) as before:
            await submit(ledger, "a")
            with LedgerReader(tmp_path) as after:
                assert before.counts()[JobState.QUEUED] == 2
                assert after.counts()[JobState.QUEUED] == 1
                assert [record.job.job_id for record in after.records(JobState.SUBMITTING, limit=5)] == ["a"]


async def test_log_is_left_to_the_run_when_somebody_has_looked(tmp_path: Path, make_job: MakeJob) -> None:
    """Two connections that write the log back could lose a commit (https://sqlite.org/wal.html#walresetbug)."""
    files = tmp_path / LEDGER_NAME, tmp_path / f"{LEDGER_NAME}-wal"
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        await ledger.enroll([make_job("a")], "error", 2.0)
        await submit(ledger, "a")
        for file in files:  # by their times, because to open and close them would drop SQLite's locks
            os.utime(file, (0, 0))
        with LedgerReader(tmp_path) as reader:
            assert reader.counts()[JobState.SUBMITTING] == 1
        assert [file.stat().st_mtime for file in files] == [0, 0]


async def test_closing_does_not_wait_when_somebody_is_looking(tmp_path: Path, make_job: MakeJob) -> None:
    """A reader that is still open neither delays nor breaks the end of a run."""
    ledger = await Ledger.open(tmp_path, run_id="r", at=1.0)
    await ledger.enroll([make_job("a")], "error", 2.0)
    with LedgerReader(tmp_path) as reader:
        await ledger.close(at=3.0)
        assert reader.counts()[JobState.QUEUED] == 1
    with LedgerReader(tmp_path) as reader:
        assert reader.runs()[0].ended_at == 3.0


async def test_everything_known_is_told_when_jobs_wait_for_a_decision(tmp_path: Path, make_job: MakeJob) -> None:
    """An unknown job comes with the time, the body's digest, the host and the error of its lost submit."""
    lost = Failure(Stage.SUBMIT, "timeout", "no answer within 90 s")
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        await ledger.enroll([make_job("a"), make_job("b")], "error", 2.0)
        await submit(ledger, "a")
        await ledger.lost("a", lost, 95.0)
    with LedgerReader(tmp_path) as reader:
        (unknown,) = reader.unknown()
        assert reader.record("a") == unknown.record
        assert reader.record("z") is None
    assert (unknown.intent_at, unknown.body_digest, unknown.base_url) == (5.0, "0a1b", "https://api.example.com")
    assert unknown.record.outcome is not None
    assert unknown.record.outcome.failure == lost


async def test_failures_are_grouped_when_many_jobs_share_a_reason(tmp_path: Path, make_job: MakeJob) -> None:
    """The most frequent reason comes first, with the first job that met it as an example."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        await ledger.enroll([make_job(job_id) for job_id in "abc"], "error", 2.0)
        for job_id, code in (("a", "param_error"), ("c", "moderation"), ("b", "moderation")):
            await submit(ledger, job_id)
            await ledger.refused(job_id, Failure(Stage.SUBMIT, code, f"no to {job_id}"), 6.0)
    with LedgerReader(tmp_path) as reader:
        assert reader.failures() == [
            FailureGroup("submit", "moderation", 2, "b", "no to b"),
            FailureGroup("submit", "param_error", 1, "a", "no to a"),
        ]


async def test_files_and_lines_are_streamed_when_jobs_are_done(tmp_path: Path, make_job: MakeJob) -> None:
    """Every video of every done job is told for verifying, and the newest line of each ended one."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        await ledger.enroll([make_job("a"), make_job("b")], "error", 2.0)
        await submit(ledger, "a")
        ledger.accepted("a", TASK, 6.0)
        ledger.finished("a", REPORT, 7.0)
        await ledger.downloaded("a", FILES, 8.0)
    with LedgerReader(tmp_path) as reader:
        assert list(reader.files()) == [("a", FILES[0]), ("a", FILES[1])]
        (line,) = reader.latest()
    assert json.loads(line)["job_id"] == "a"
    assert {path.name for path in tmp_path.iterdir()} == {LEDGER_NAME, RESULTS_NAME}
    assert (tmp_path / RESULTS_NAME).read_text() == f"{line}\n"


@pytest.mark.parametrize("folder", ["", "missing"])
def test_usage_error_is_raised_when_the_folder_holds_no_batch(folder: str, tmp_path: Path) -> None:
    """Looking at a wrong folder says so and creates nothing."""
    with pytest.raises(UsageError, match="no batch here"):
        LedgerReader(tmp_path / folder)
    assert list(tmp_path.iterdir()) == []


async def test_folder_may_have_any_name_when_it_is_read(tmp_path: Path) -> None:
    """Question marks, percent signs, hashes and spaces in a path are only characters."""
    folder = tmp_path / "a b?mode=rw#%41é"
    async with await Ledger.open(folder, run_id="r", at=1.0):
        pass
    with LedgerReader(folder) as reader:
        assert len(reader.runs()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
async def test_ledger_is_read_and_not_written_when_the_folder_is_read_only(tmp_path: Path) -> None:
    """An archived batch can be looked at; running it is an answer, never a traceback."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0):
        pass
    (tmp_path / LEDGER_NAME).chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        with LedgerReader(tmp_path) as reader:
            assert len(reader.runs()) == 1
        with pytest.raises(LedgerError, match="cannot be opened or written"):
            await Ledger.open(tmp_path, run_id="r2", at=2.0)
    finally:
        tmp_path.chmod(0o700)


@contextmanager
def no_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No file can grow beyond a few bytes, and nothing that is compiled meanwhile is kept by halves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as here:
        here.setattr(sys, "dont_write_bytecode", True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_ledger_is_read_when_there_is_no_room_for_its_companions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk blinds nobody, at the first look or at the second; whoever would write hears what is missing."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0):
        pass
    with no_room(monkeypatch):
        for _ in range(2):
            with LedgerReader(tmp_path) as reader:
                assert len(reader.runs()) == 1
        with pytest.raises(LedgerError, match="the disk is full; make room and run the same command again"):
            await Ledger.open(tmp_path, run_id="r2", at=2.0)
    async with await Ledger.open(tmp_path, run_id="r2", at=2.0):
        pass


async def test_the_disk_is_called_full_when_something_is_left_in_a_log_that_cannot_be_read(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed run left there is part of the batch: without it an answer would be an old one."""
    log = tmp_path / f"{LEDGER_NAME}-wal"
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        await ledger.enroll([make_job("a")], "error", 2.0)
        left = log.read_bytes()
    log.write_bytes(left)
    with (
        no_room(monkeypatch),
        pytest.raises(LedgerError, match="the disk is full; make room and run the same command again"),
    ):
        LedgerReader(tmp_path)


async def test_a_story_has_every_moment_when_a_job_is_done(tmp_path: Path, make_job: MakeJob) -> None:
    """What became of each job is told with its moments, its cost and a cursor to go on from, in enrolment's order."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        await ledger.enroll([make_job("a"), make_job("b")], "error", 2.0)
        await ledger.intent(
            "a", base_url="https://api.example.com", body_digest="0a1b", at=5.0,
            quote=Quote("kind", "model", currency="CNY", expected=900_000, worst=1_750_000),
        )  # fmt: skip
        await ledger.accepted("a", TASK, 6.0)
        await ledger.finished("a", REPORT, 60.0, Actual(1_750_000))
        await ledger.downloaded("a", FILES, 65.0)
    with LedgerReader(tmp_path) as reader:
        (first, a), (_, b) = reader.sketches()
        assert (a.intent_at, a.submitted_at, a.noticed_at, a.moved_at) == (5.0, 6.0, 60.0, 65.0)
        assert a.cost is not None
        assert (a.cost.amount, a.cost.currency, a.cost.estimated) == ("1.75", "CNY", False)
        assert (b.intent_at, b.noticed_at, b.cost) == (None, None, None)
        assert [sketch.job_id for _, sketch in reader.sketches(after=first)] == ["b"]


async def test_only_what_moved_is_told_when_somebody_asks_since_when(tmp_path: Path, make_job: MakeJob) -> None:
    """That moment is included; the newest jobs come first, after those that failed or are unknown."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        await ledger.enroll([make_job(job_id) for job_id in "abcd"], "error", 2.0)
        await submit(ledger, "a")
        await ledger.refused("a", Failure(Stage.SUBMIT, "moderation", "no"), 6.0)
        await submit(ledger, "c")
        await ledger.accepted("c", TASK, 9.0)
    with LedgerReader(tmp_path) as reader:
        ids = {seq: sketch.job_id for seq, sketch in reader.sketches()}
        assert [sketch.job_id for _, sketch in reader.moved(9.0)] == ["c"]
        assert [sketch.job_id for _, sketch in reader.moved(6.0)] == ["a", "c"]
        assert [ids[seq] for seq in reader.newest(3)] == ["a", "c", "d"]
