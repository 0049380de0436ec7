"""The nouns: a job is ours (one manifest row), a task is theirs (one remote generation)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pipeline.core.values import Value, made


class JobState(StrEnum):
    """Where a job stands: `queued → submitting → running → fetching → done`, or one of the other two ends."""

    QUEUED = "queued"
    """Known and checked; nothing has been sent for this attempt."""
    SUBMITTING = "submitting"
    """The intent is durable and the paid request may have left: after a crash, "we may have paid for this"."""
    RUNNING = "running"
    """The service accepted the task and its id is durable."""
    FETCHING = "fetching"
    """The task ended well; its videos are not yet all on disk."""
    DONE = "done"
    """Every video of the task is on disk, whole."""
    FAILED = "failed"
    """The job ended badly and the reason is on record."""
    UNKNOWN = "unknown"
    """The answer to a paid request was lost, or the service no longer knows the task: a person decides."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to the job unless somebody asks for it."""
        return self in ENDED


EVERY_STATE = frozenset(JobState)
ENDED = frozenset({JobState.DONE, JobState.FAILED, JobState.UNKNOWN})


def remaining(counts: Mapping[JobState, int]) -> int:
    """Jobs that have not ended."""
    return sum(number for state, number in counts.items() if not state.ended)


class Stage(StrEnum):
    """In which part of its life a job failed."""

    SUBMIT = "submit"
    GENERATE = "generate"
    DOWNLOAD = "download"


class MediaForm(StrEnum):
    """How the bytes of a local file are written into a request."""

    DATA_URI = "data_uri"
    """`data:image/png;base64,…`"""
    BASE64 = "base64"
    """Base64 alone; a `data:` prefix is an error there."""
    OBJECT = "object"
    """`{"bytesBase64Encoded": …, "mimeType": "image/png"}`"""


class Source(Value):
    """Where a job stands in its manifest."""

    file: str
    line: int
    """Counted from 1."""


class LocalFile(Value):
    """A file on this machine that a job names as a media value; read and encoded when the job is submitted."""

    field: str
    """Dotted path of the value inside the request, list positions as numbers: `input.image_url`,
    `parameters.image_list.0.image_url`."""
    path: str
    """Absolute path."""
    sha256: str
    """Of the bytes when the manifest was checked; other bytes at submit time end the job unpaid."""
    bytes: int
    mime: str
    form: MediaForm


class Job(Value):
    """One manifest row, checked and complete in itself."""

    job_id: str
    digest: str
    """Hex SHA-256 of what is bought: model, input, parameters and the bytes of local files. Nothing else counts."""
    model: str
    input: Mapping[str, Any]
    """As written in the manifest: a local file stands here as the path that the author wrote."""
    parameters: Mapping[str, Any]
    output: str
    """Relative POSIX path of the first video below `videos/`, such as `wave-01.mp4`."""
    source: Source
    metadata: Mapping[str, Any] = made(default_factory=dict)
    files: tuple[LocalFile, ...] = ()

    @property
    def kind(self) -> str:
        """Model, resolution and length in one line: jobs of one kind take about the same time."""
        kind = self.model
        for name in DECIDING_TIME:
            value = self.parameters.get(name)
            if value is not None:
                kind += f" {value}"
        return kind


DECIDING_TIME = ("resolution", "size", "mode", "duration")
"""The parameters that decide how long a task takes, over all models of the catalog."""


class TaskState(StrEnum):
    """The service's status words, read (`reference: modelverse-api.md` §6)."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNRECOGNISED = "unrecognised"
    """A word nobody documented, or none: not an end, so we keep asking."""

    @property
    def ended(self) -> bool:
        """Whether the service will never change this state again."""
        return self in _TASK_ENDS


_TASK_ENDS = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.EXPIRED, TaskState.CANCELLED})


class Task(Value):
    """A remote generation: the id, and the host that gave it (questions go to that host only)."""

    task_id: str
    base_url: str
    request_id: str | None = None
    """Of the submit's answer, for the vendor's support."""


class TaskReport(Value):
    """One answer to a status question."""

    state: TaskState
    word: str
    """The service's own spelling, for logs."""
    urls: tuple[str, ...] = ()
    error_message: str | None = None
    submit_time: float | None = None
    """Unix seconds on the service's clock."""
    finish_time: float | None = None
    usage: Mapping[str, Any] = made(default_factory=dict)
    request_id: str | None = None
    task_id: str | None = None
    """The id that the service echoes."""
    excerpt: str = ""
    """The beginning of the raw body, kept for the reports that end a job without a usable URL."""


class Failure(Value):
    """Why a job did not succeed, in the words of results.jsonl."""

    stage: Stage
    code: str
    """Short and stable, such as `moderation`, `param_error`, `too_large`."""
    message: str
    http_status: int | None = None


class StoredFile(Value):
    """A video on disk, whole: checked, hashed, flushed, renamed."""

    path: str
    """Relative to the output folder, POSIX: `videos/wave-01.mp4`."""
    bytes: int
    sha256: str
    url: str
    """Where it came from, verbatim."""


class Outcome(Value):
    """How a job ended, and why: `DONE` with files, or `FAILED` or `UNKNOWN` with a failure."""

    state: JobState
    files: tuple[StoredFile, ...] = ()
    failure: Failure | None = None


class Record(Value):
    """What the ledger knows of one job."""

    job: Job
    state: JobState
    attempt: int = 0
    """Paid tries so far, the one under way included; 0 before the first intent."""
    task: Task | None = None
    report: TaskReport | None = None
    """The answer that ended the task, once there is one."""
    submitted_at: float | None = None
    """Unix seconds here, when the submit's answer arrived (when the intent was written, before that)."""
    outcome: Outcome | None = None
    external_id: str | None = None
    """Our own id for the attempt's task, where the model carries one: a lost submit can be looked up by it."""
    base_url: str | None = None
    """The host that the attempt's submit went to, or is about to go to; there it is looked up."""
    stored: tuple[StoredFile, ...] = ()
    """Of a job in `FETCHING`: the videos that were whole once, and are fetched again."""
