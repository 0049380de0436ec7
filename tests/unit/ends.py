"""Jobs brought to their ends in a real ledger, as the crew brings them."""

from pathlib import Path

from pipeline.core.events import JobMoved
from pipeline.core.jobs import (
    Failure,
    Job,
    JobState,
    LocalFile,
    MediaForm,
    Outcome,
    Source,
    Stage,
    StoredFile,
    Task,
    TaskReport,
    TaskState,
)
from pipeline.core.money import Actual, Quote
from pipeline.ledger import Ledger
from pipeline.views.facts import About
from pipeline.views.next_step import Commands

VIDEO = b"the bytes of a video"
QUOTE = Quote("m", "m", currency="CNY", expected=900_000, worst=1_800_000, seconds=5000, longest=5000)
MODERATED = Failure(Stage.GENERATE, "moderation", "refused \x1b[31m", 400)
LOST = Failure(Stage.SUBMIT, "timeout", "no answer")


TYPED = Commands("cd / && pipeline", "run shots.yaml --budget 3", "", uncapped="run shots.yaml")


def about(folder: Path, commands: Commands = TYPED) -> About:
    """A run over the folder."""
    return About("20261122T020000Z-3f2a", "/srv/shots.yaml", folder, commands=commands)


def make_job(job_id: str) -> Job:
    """A job with a local picture, and words that could steer a terminal."""
    picture = LocalFile("input.image_url", "/srv/beach.jpg", "cd" * 32, 7, "image/jpeg", MediaForm.DATA_URI)
    given = {"image_url": "beach.jpg", "prompt": "海 waves \x7f \u202e"}
    source = Source("shots.csv", 12)
    return Job(
        job_id, f"digest of {job_id}", "m", given, {"resolution": "480P"}, f"{job_id}.mp4", source, {}, (picture,)
    )


async def submitted(ledger: Ledger, job_id: str, at: float = 100.0) -> Job:
    """Enroll a job and have its submit answered 2 s after it was sent."""
    job = make_job(job_id)
    await ledger.enroll([job], "keep", at)
    await ledger.intent(job_id, base_url="https://api.example.com", body_digest="b", at=at, quote=QUOTE)
    await ledger.accepted(job_id, Task(f"task-{job_id}", "https://api.example.com", "request"), at + 2)
    return job


async def done(ledger: Ledger, folder: Path, job_id: str, at: float = 100.0, video: bytes = VIDEO) -> JobMoved:
    """A job that is done: 60 s of work, noticed 1 s later, downloaded in 4 s more."""
    job = await submitted(ledger, job_id, at)
    url = f"https://cdn.example.com:8443/v/{job_id}.mp4?X-Signature=secret#x"
    usage = {"duration": 5}
    report = TaskReport(TaskState.SUCCEEDED, "Success", (url,), None, at + 3, at + 63, usage)
    await ledger.finished(job_id, report, at + 64, Actual(750_000, 5000))
    stored = StoredFile(f"videos/{job.output}", len(video), "ab" * 32, url)
    (folder / "videos").mkdir(exist_ok=True)
    (folder / stored.path).write_bytes(video)
    await ledger.downloaded(job_id, (stored,), at + 68)
    return JobMoved(at, job, JobState.DONE, 1, f"task-{job_id}", Outcome(JobState.DONE, (stored,)))


async def failed(ledger: Ledger, job_id: str, failure: Failure = MODERATED) -> JobMoved:
    """A job whose task failed."""
    job = await submitted(ledger, job_id)
    await ledger.task_failed(job_id, None, failure, 130.0)
    return JobMoved(130.0, job, JobState.FAILED, 1, None, Outcome(JobState.FAILED, (), failure))


async def lost(ledger: Ledger, job_id: str) -> JobMoved:
    """A job whose submit's answer was lost."""
    job = make_job(job_id)
    await ledger.enroll([job], "keep", 100.0)
    await ledger.intent(job_id, base_url="https://api.example.com", body_digest="b", at=100.0, quote=QUOTE)
    await ledger.lost(job_id, LOST, 130.0)
    return JobMoved(130.0, job, JobState.UNKNOWN, 1, None, Outcome(JobState.UNKNOWN, (), LOST))
