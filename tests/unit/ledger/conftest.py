"""A ledger's test material: jobs, answers, and a way to bring a job into any state through its own transitions."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from pipeline.core.jobs import Failure, Job, JobState, Source, Stage, StoredFile, Task, TaskReport, TaskState
from pipeline.ledger import Ledger, enrolment, transitions
from pipeline.ledger.schema import open_for_writing

RUN = "20261122T020000Z-3f2a"
TASK = Task("a1b2", "https://api.example.com", "request-1")
REPORT = TaskReport(
    TaskState.SUCCEEDED,
    "Success",
    ("https://cdn.example.com/v.mp4?sig=%2F",),
    submit_time=90.0,
    finish_time=150.0,
    usage={"duration": 5},
)
STORED = StoredFile("videos/wave-01.mp4", 2482113, "ab" * 32, "https://cdn.example.com/v.mp4?sig=%2F")
FAILURE = Failure(Stage.GENERATE, "moderation", "refused", 400)


def make_job(job_id: str = "wave-01", **changes: object) -> Job:
    """A job whose output and digest follow from its id, where nothing else is said."""
    values: dict[str, object] = {
        "job_id": job_id,
        "digest": f"digest of {job_id}",
        "model": "Wan-AI/Wan2.2-I2V",
        "input": {"image_url": "https://example.com/beach.jpg", "prompt": "…"},
        "parameters": {"resolution": "720P"},
        "output": f"{job_id}.mp4",
        "source": Source("shots.csv", 12),
        "metadata": {"shot": 12},
    }
    return Job(**{**values, **changes})  # type: ignore[arg-type] # the keys are Job's own


def bring_to(connection: sqlite3.Connection, state: JobState, job_id: str = "wave-01") -> None:
    """Enroll a job and lead it into a state by the shortest way."""
    enrolment.enroll(connection, [make_job(job_id)], "error", 1.0)
    if state is JobState.QUEUED:
        return
    transitions.intent(connection, job_id, base_url=TASK.base_url, body_digest="body", at=100.0, owner="local", epoch=0)
    if state is JobState.SUBMITTING:
        return
    if state is JobState.UNKNOWN:
        transitions.lost(connection, RUN, job_id, Failure(Stage.SUBMIT, "timeout", "no answer"), 102.0)
        return
    transitions.accepted(connection, job_id, TASK, 101.0)
    if state is JobState.FAILED:
        transitions.task_failed(connection, RUN, job_id, None, FAILURE, 103.0)
    if state in {JobState.FETCHING, JobState.DONE}:
        transitions.finished(connection, job_id, REPORT, 151.0)
    if state is JobState.DONE:
        transitions.downloaded(connection, RUN, job_id, (STORED,), 160.0)


@pytest.fixture(name="make_job")
def _make_job() -> Callable[..., Job]:
    return make_job


@pytest.fixture(name="bring_to")
def _bring_to() -> Callable[..., None]:
    return bring_to


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A fresh ledger's writing connection."""
    opened = open_for_writing(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(params=["thread", "inline"])
async def ledger(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """A fresh ledger, once with each way of committing."""
    async with await Ledger.open(tmp_path, run_id=RUN, at=1.0, committer=request.param) as opened:
        yield opened
