"""results.jsonl has schema 1, holds every line exactly once after any crash, and can be made anew."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace as replace_struct

from pipeline.core.errors import UsageError
from pipeline.core.jobs import (
    Failure,
    Job,
    JobState,
    LocalFile,
    MediaForm,
    Source,
    Stage,
    StoredFile,
    Task,
    TaskReport,
    TaskState,
)
from pipeline.ledger import LEDGER_NAME, RESULTS_NAME, InlineCommitter, Ledger, LedgerReader, queries, rebuild, results
from pipeline.ledger.codec import to_json
from pipeline.ledger.connection import Attempt, LedgerConnection
from pipeline.ledger.enrolment import enroll
from pipeline.ledger.results import Ending, build_line

MakeJob = Callable[..., Job]
BringTo = Callable[..., None]
TASK = Task("a1b2", "https://api.example.com", "request-1")
REPORT = TaskReport(TaskState.SUCCEEDED, "Success", submit_time=1.0, finish_time=1700000052.0, usage={"duration": 5})
STORED = StoredFile("videos/wave-01.mp4", 2482113, "ab" * 32, "https://cdn.example.com/v.mp4?sig=%2F")
REFUSED = Failure(Stage.SUBMIT, "param_error", "no", 400)

KEYS = [
    "schema", "run_id", "job_id", "status", "attempts", "model", "input", "parameters", "metadata", "task_id",
    "request_id", "files", "usage", "cost", "submitted_at", "finished_at", "downloaded_at", "error", "source",
]  # fmt: skip


DONE = Ending(JobState.DONE, report=to_json(REPORT), files=to_json((STORED,)), submitted_at=1700000000.1234)


def attempt_of(
    job: Job, connection: LedgerConnection, task: Task | None = TASK, attempt: int = 1
) -> tuple[str, Attempt]:
    """An id and an attempt: of a job that has a task, and so many attempts behind it."""
    enroll(connection, [job], "error", 1.0)
    (spec,) = connection.execute("SELECT spec FROM jobs").fetchone()
    told = Attempt(1, attempt, "running", spec, task and task.task_id, task and task.request_id)
    return job.job_id, told


# -- one line


def test_line_follows_the_contract_when_a_job_is_done(connection: LedgerConnection, make_job: MakeJob) -> None:
    """Every key of schema 1 in its order, times in UTC with milliseconds."""
    line = json.loads(build_line("run-1", *attempt_of(make_job(), connection), DONE, 1700000060.0))
    assert list(line) == KEYS
    assert line == {
        "schema": 1,
        "run_id": "run-1",
        "job_id": "wave-01",
        "status": "succeeded",
        "attempts": 1,
        "model": "Wan-AI/Wan2.2-I2V",
        "input": {"image_url": "https://example.com/beach.jpg", "prompt": "…"},
        "parameters": {"resolution": "720P"},
        "metadata": {"shot": 12},
        "task_id": "a1b2",
        "request_id": "request-1",
        "files": [
            {"path": STORED.path, "bytes": STORED.bytes, "sha256": STORED.sha256, "url": STORED.url},
        ],
        "usage": {"duration": 5},
        "cost": None,
        "submitted_at": "2023-11-14T22:13:20.123Z",
        "finished_at": "2023-11-14T22:14:12.000Z",
        "downloaded_at": "2023-11-14T22:14:20.000Z",
        "error": None,
        "source": {"file": "shots.csv", "line": 12},
    }


def test_line_tells_the_bytes_that_were_sent_when_a_job_names_local_files(
    connection: LedgerConnection, make_job: MakeJob
) -> None:
    """The path stands where the manifest has it, and a last member tells field, length and SHA-256."""
    file = LocalFile("input.image_url", "/srv/beach.png", "ab" * 32, 9, "image/png", MediaForm.DATA_URI)
    job = make_job(input={"image_url": "beach.png"}, files=(file,))
    line = json.loads(build_line("run-1", *attempt_of(job, connection), DONE, 1700000060.0))
    assert list(line) == [*KEYS, "local_files"]
    assert line["input"] == {"image_url": "beach.png"}
    assert line["local_files"] == [{"field": "input.image_url", "bytes": 9, "sha256": "ab" * 32}]


@pytest.mark.parametrize(("state", "status"), [(JobState.FAILED, "failed"), (JobState.UNKNOWN, "unknown")])
def test_line_carries_the_error_when_a_job_ended_badly(
    state: JobState, status: str, connection: LedgerConnection, make_job: MakeJob
) -> None:
    """A failure says stage, code, message and HTTP status; what never came about is null or empty."""
    row = attempt_of(make_job(), connection, task=None, attempt=2)
    line = json.loads(build_line("run-1", *row, Ending(state, REFUSED), 1700000060.0))
    assert list(line) == KEYS
    assert (line["status"], line["attempts"], line["files"]) == (status, 2, [])
    assert line["error"] == {"stage": "submit", "code": "param_error", "message": "no", "http_status": 400}
    empty = ("task_id", "request_id", "usage", "submitted_at", "finished_at", "downloaded_at")
    assert {line[key] for key in empty} == {None}


def test_line_is_strict_json_when_values_are_strange(connection: LedgerConnection, make_job: MakeJob) -> None:
    """Lone surrogates, line separators, NaN, huge numbers and moments that are none leave one line of valid JSON."""
    strange = {"lone": "a\udcff", "separator": "\u2028\n", "huge": 10**30, "nan": float("nan"), "list": ["\ud800"]}
    row = attempt_of(make_job(metadata=strange, input={"prompt": "مرحبا 🏄\x7f"}), connection)
    odd = to_json(replace(REPORT, finish_time=1e30, word="\udc80", usage={"note": "\ud800", "count": float("inf")}))
    line = build_line("run-1", *row, replace_struct(DONE, report=odd), 1700000060.0)
    assert "\n" not in line
    assert line.isprintable()
    decoded = msgspec.json.decode(line.encode())
    assert decoded["metadata"] == {
        "lone": "a\ufffd", "separator": "\u2028\n", "huge": 10**30, "nan": None, "list": ["\ufffd"],
    }  # fmt: skip
    assert decoded["input"] == {"prompt": "مرحبا 🏄\x7f"}
    assert decoded["usage"] == {"note": "\ufffd", "count": None}
    assert decoded["finished_at"] is None


def test_local_file_comes_back_exactly_when_its_name_is_not_text(
    connection: LedgerConnection, make_job: MakeJob
) -> None:
    """A path that is no valid Unicode survives the ledger byte for byte."""
    file = LocalFile("input.image_url", "/pictures/\udcff.png", "00" * 32, 3, "image/png", MediaForm.DATA_URI)
    job = make_job(files=(file,), source=Source("\udcfe.csv", 2), parameters={"seed": 10**30})
    enroll(connection, [job], "error", 1.0)
    record = queries.record(connection, "wave-01")
    assert record is not None
    assert record.job == job


# -- the file


async def run_batch(folder: Path, jobs: list[Job], *, run_id: str = "r") -> None:
    """Open, refuse every job, close."""
    async with await Ledger.open(folder, run_id=run_id, at=1.0, committer="inline") as ledger:
        await ledger.enroll(jobs, "error", 2.0)
        for job in jobs:
            ledger.intent(job.job_id, base_url="https://api.example.com", body_digest="d", at=3.0)
            await ledger.refused(job.job_id, REFUSED, 4.0)


async def reopen(folder: Path) -> None:
    async with await Ledger.open(folder, run_id="again", at=9.0):
        pass


def expected(folder: Path) -> bytes:
    """What the ledger says that the file is."""
    with closing(sqlite3.connect(folder / LEDGER_NAME)) as connection:
        return b"".join(
            line.encode() + b"\n" for (line,) in connection.execute("SELECT line FROM results ORDER BY seq")
        )


def remembered(folder: Path) -> int:
    with closing(sqlite3.connect(folder / LEDGER_NAME)) as connection:
        return int(connection.execute("SELECT results_bytes FROM meta").fetchone()[0])


def torn_tail(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"schema": 1, "run_id')


def foreign_line(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"{}\n")


def shorter_by_one(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def shorter_by_a_line(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def shifted(path: Path) -> None:
    path.write_bytes(b" " + path.read_bytes() + b"{}\n")


DAMAGES = [torn_tail, foreign_line, shorter_by_one, shorter_by_a_line, shifted, Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_results_are_whole_again_when_the_file_was_damaged_between_runs(
    damage: Callable[[Path], None], tmp_path: Path, make_job: MakeJob
) -> None:
    """Whatever happened to the file, opening makes it equal to the ledger, each line once."""
    await run_batch(tmp_path, [make_job(f"j{n}") for n in range(5)])
    path = tmp_path / RESULTS_NAME
    before = path.read_bytes()
    assert before == expected(tmp_path)
    assert before.count(b"\n") == 5
    damage(path)
    await reopen(tmp_path)
    assert path.read_bytes() == before
    assert remembered(tmp_path) == len(before)


@pytest.mark.parametrize("keep", [0, 1, 700, 1_000_000])
async def test_lines_are_exported_once_when_a_crash_came_before_their_length_was_noted(
    keep: int, tmp_path: Path, make_job: MakeJob
) -> None:
    """Committed lines are exported once, wherever between commit and note the crash tore the file."""
    await run_batch(tmp_path, [make_job("first")])
    noted = remembered(tmp_path)
    crashing: list[InlineCommitter] = []

    def factory(folder: Path) -> InlineCommitter:
        crashing.append(InlineCommitter(folder))
        return crashing[0]

    ledger = await Ledger.open(tmp_path, run_id="r2", at=5.0, committer=factory)
    await ledger.enroll([make_job(f"j{n}") for n in range(3)], "error", 5.0)
    for n in range(3):
        ledger.intent(f"j{n}", base_url="https://api.example.com", body_digest="d", at=6.0)
        await ledger.refused(f"j{n}", REFUSED, 7.0)
    crashing[0].crash()
    assert remembered(tmp_path) == noted
    path = tmp_path / RESULTS_NAME
    path.write_bytes(path.read_bytes()[: noted + keep])
    await reopen(tmp_path)
    assert path.read_bytes() == expected(tmp_path)
    assert path.read_bytes().count(b"\n") == 4


async def test_results_are_whole_when_a_crash_came_between_renaming_and_noting(
    tmp_path: Path, make_job: MakeJob
) -> None:
    """A file made anew begins with the bytes that the old note stands for, so the old note still holds."""
    await run_batch(tmp_path, [make_job("a"), make_job("b")])
    with closing(sqlite3.connect(tmp_path / LEDGER_NAME, isolation_level=None)) as connection:
        (line,) = connection.execute("SELECT line FROM results WHERE seq = 1").fetchone()
        connection.execute("UPDATE meta SET exported_seq = 1, results_bytes = ?", (len(line.encode()) + 1,))
    await reopen(tmp_path)
    assert (tmp_path / RESULTS_NAME).read_bytes() == expected(tmp_path)
    assert remembered(tmp_path) == len(expected(tmp_path))


async def test_length_is_noted_on_the_way_when_much_was_written(
    tmp_path: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long run notes now and then how far the file has come, so that a crash rewrites little."""
    monkeypatch.setattr(results, "_REMEMBER_EVERY", 1000)
    ledger = await Ledger.open(tmp_path, run_id="r", at=1.0, committer="inline")
    await ledger.enroll([make_job(f"j{n}") for n in range(10)], "error", 2.0)
    for n in range(10):
        ledger.intent(f"j{n}", base_url="https://api.example.com", body_digest="d", at=3.0)
        await ledger.refused(f"j{n}", REFUSED, 4.0)
    assert remembered(tmp_path) > 3000
    await ledger.close()
    assert remembered(tmp_path) == (tmp_path / RESULTS_NAME).stat().st_size


async def test_file_is_equal_byte_for_byte_when_it_is_rebuilt(tmp_path: Path, make_job: MakeJob) -> None:
    """`results --rebuild` gives the same bytes, leaves nothing beside them, and the next run goes on after them."""
    await run_batch(tmp_path, [make_job("a"), make_job("b")])
    path = tmp_path / RESULTS_NAME
    before = path.read_bytes()
    path.write_bytes(b"nonsense")
    assert rebuild(tmp_path) == len(before)
    assert path.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted([LEDGER_NAME, RESULTS_NAME])
    assert path.stat().st_mode & 0o777 == 0o600
    await run_batch(tmp_path, [make_job("c")], run_id="r2")
    assert path.read_bytes() == expected(tmp_path)
    assert path.read_bytes().startswith(before)


def test_rebuilding_is_refused_when_there_is_no_batch(tmp_path: Path) -> None:
    """Nothing is created in a folder that never was a batch's."""
    with pytest.raises(UsageError, match="no batch here"):
        rebuild(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_second_line_is_appended_when_a_job_is_tried_again(tmp_path: Path, make_job: MakeJob) -> None:
    """A later attempt appends a new line under its own run; the latest view has one line a job, in the file's order."""
    await run_batch(tmp_path, [make_job("a"), make_job("b")])
    async with await Ledger.open(tmp_path, run_id="r2", at=5.0) as ledger:
        assert await ledger.retry_failed("a", 6.0) == 1
        await ledger.intent("a", base_url=TASK.base_url, body_digest="d", at=7.0)
        ledger.accepted("a", TASK, 8.0)
        ledger.finished("a", REPORT, 9.0)
        await ledger.downloaded("a", (STORED,), 10.0)
    lines = [json.loads(line) for line in (tmp_path / RESULTS_NAME).read_text().splitlines()]
    assert [(line["job_id"], line["run_id"], line["attempts"]) for line in lines] == [
        ("a", "r", 1),
        ("b", "r", 1),
        ("a", "r2", 2),
    ]
    with LedgerReader(tmp_path) as reader:
        latest = [json.loads(line) for line in reader.latest()]
    assert [(line["job_id"], line["status"]) for line in latest] == [("b", "failed"), ("a", "succeeded")]


async def test_lines_of_one_group_keep_their_order_when_many_jobs_end_at_once(
    ledger: Ledger, tmp_path: Path, make_job: MakeJob
) -> None:
    """The file's order is the order in which the jobs ended, beyond one chunk of lines too."""
    names = [f"j{n}" for n in range(1001)]
    await ledger.enroll((make_job(name) for name in names), "error", 2.0)
    ends = []
    for name in names:
        ledger.intent(name, base_url="https://api.example.com", body_digest="d", at=3.0)
        ends.append(ledger.refused(name, REFUSED, 4.0))
    await asyncio.gather(*ends)
    lines = (tmp_path / RESULTS_NAME).read_text().splitlines()
    assert [json.loads(line)["job_id"] for line in lines] == names
