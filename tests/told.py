"""Batches to be told about: ledgers of any size, written at once, whose jobs have ended in every way."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.core.jobs import Failure, Job, Source, Stage, StoredFile, Task, TaskReport, TaskState
from pipeline.core.money import Actual, Quote
from pipeline.ledger import enrolment, transitions
from pipeline.ledger.schema import open_for_writing, transaction

RUN = "20261122T020000Z-3f2a"
BEGAN = 1_795_000_000.0
HOST = "https://api.example.com"
SIGNED = "https://cdn.example.com/v.mp4?Signature=s3cr3t"
QUOTE = Quote("kind", "model", currency="CNY", expected=900_000, worst=1_440_000, longest=8000)


def a_job(job_id: str = "wave-01", **changes: Any) -> Job:
    """A job whose output and digest follow from its id, where nothing else is said."""
    values: dict[str, Any] = {
        "job_id": job_id,
        "digest": f"digest of {job_id}",
        "model": "Wan-AI/Wan2.2-I2V",
        "input": {"first_frame_url": "https://example.com/beach.jpg", "prompt": "The surfer waves at the camera"},
        "parameters": {"resolution": "720P", "duration": 5, "seed": 7},
        "output": f"{job_id}.mp4",
        "source": Source("shots.csv", 12),
        "metadata": {"shot": 12},
    }
    return Job(**{**values, **changes})


class Telling:
    """Writes what becomes of jobs into a folder's ledger; every call leads one job on. Seconds are of the batch."""

    def __init__(self, folder: Path, jobs: Iterable[Job], *, run_id: str = RUN) -> None:
        self.folder = folder
        self.connection = open_for_writing(folder)
        self.run_id = run_id
        transitions.begin_run(self.connection, run_id, BEGAN)
        with transaction(self.connection):
            enrolment.enroll(self.connection, jobs, "error", BEGAN)

    def close(self, at: float | None = None) -> None:
        """The run ends, unless nothing is said of it: then it was killed, or goes on."""
        if at is not None:
            transitions.end_run(self.connection, self.run_id, BEGAN + at)
        self.connection.close()

    def submitting(self, job_id: str, at: float, quote: Quote | None = QUOTE) -> None:
        """The request is about to leave."""
        transitions.intent(
            self.connection,
            job_id,
            base_url=HOST,
            body_digest="0a1b",
            at=BEGAN + at,
            owner="local",
            epoch=0,
            quote=quote,
        )
        self.connection.count()

    def running(self, job_id: str, at: float, quote: Quote | None = QUOTE) -> None:
        """The task is accepted half a second after the intent."""
        self.submitting(job_id, at, quote)
        transitions.accepted(self.connection, job_id, Task(f"task-{job_id}", HOST), BEGAN + at + 0.5)

    def fetching(self, job_id: str, at: float, took: float = 60.0, quote: Quote | None = QUOTE) -> None:
        """The task ran for so long by the service's clock, and a second later that was noticed."""
        self.running(job_id, at, quote)
        report = TaskReport(TaskState.SUCCEEDED, "Success", (SIGNED,), submit_time=0.0, finish_time=took)
        actual = Actual(900_000, 5000) if quote else Actual()
        transitions.finished(self.connection, job_id, report, BEGAN + at + 1.5 + took, actual)
        self.connection.count()

    def done(self, job_id: str, at: float, took: float = 60.0, file: str = "", quote: Quote | None = QUOTE) -> None:
        """…and its video was on disk two seconds after that."""
        self.fetching(job_id, at, took, quote)
        stored = StoredFile(file or f"videos/{job_id}.mp4", 2_482_113, "ab" * 32, SIGNED)
        transitions.downloaded(self.connection, self.run_id, job_id, (stored,), BEGAN + at + 3.5 + took)

    def refused(
        self, job_id: str, at: float, message: str = "the prompt was refused", code: str = "moderation"
    ) -> None:
        """The service refuses the submit."""
        self.submitting(job_id, at)
        failure = Failure(Stage.SUBMIT, code, message, 400)
        transitions.refused(self.connection, self.run_id, job_id, failure, BEGAN + at + 0.5)
        self.connection.count()

    def failed(self, job_id: str, at: float, took: float = 30.0, message: str = "no such motion") -> None:
        """The task fails."""
        self.running(job_id, at)
        failure = Failure(Stage.GENERATE, "generationfailed", message)
        transitions.task_failed(self.connection, self.run_id, job_id, None, failure, BEGAN + at + took)
        self.connection.count()

    def lost(self, job_id: str, at: float) -> None:
        """The answer to the submit is lost."""
        self.submitting(job_id, at)
        failure = Failure(Stage.SUBMIT, "timeout", "no answer within 90 s")
        transitions.lost(self.connection, self.run_id, job_id, failure, BEGAN + at + 90)


def many_jobs(number: int, make: Callable[[int], dict[str, Any]] = lambda _number: {}) -> Iterator[Job]:
    """Jobs `shot-00000` and on."""
    for one in range(number):
        resolution = "720P" if one % 3 == 0 else "480P"
        given = {"resolution": resolution, "duration": 5, "seed": one + 1}
        metadata = {"scene": one % 40, "place": f"place {one % 7}"}
        yield a_job(f"shot-{one:05}", parameters=given, metadata=metadata, **make(one))


def a_large_batch(folder: Path, number: int, *, file: str = "") -> None:
    """Nearly all done, one in fifty failed, the last ones under way; a hundred at the same time.

    With `file`, all have the same video.
    """
    told = Telling(folder, many_jobs(number))
    with transaction(told.connection):
        for one in range(number):
            _lead(told, f"shot-{one:05}", one, number, file)
    told.close()


def _lead(told: Telling, job_id: str, one: int, number: int, file: str) -> None:
    begins = one * 0.6
    if one >= number - 30:
        return
    if one >= number - 60:
        told.running(job_id, begins)
    elif one % 50 == 7:
        told.failed(job_id, begins)
    elif one % 997 == 3:
        told.lost(job_id, begins)
    else:
        told.done(job_id, begins, took=50.0 + one * 7919 % 31, file=file)
