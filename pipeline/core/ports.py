"""What the engine needs from the outside, as Protocols: the real parts and the simulated ones fit the same holes."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pipeline.core.body import Body
from pipeline.core.jobs import Job, StoredFile, Task, TaskReport
from pipeline.core.money import Actual, Quote


class Service(Protocol):
    """The remote service. Errors are `ServiceError`s and nothing else."""

    @property
    def base_url(self) -> str:
        """The host that new tasks are submitted to."""

    def traceable(self, job: Job) -> bool:
        """Whether the job's model carries a caller's id, so that a lost submit can be looked up."""

    async def prepare(self, job: Job, external_id: str | None = None) -> Body:
        """The body of the job's submit, local files encoded; free of charge.

        `external_id` is our own id for the task, for traceable jobs. It may wait until other bodies are let go.
        Raises `RejectedError` where a local file is gone or has other bytes than when it was enrolled, and
        `TransientError` where this machine cannot read one for now.
        """

    async def submit(self, job: Job, body: Body, wanted: Callable[[], bool]) -> Task | None:
        """Send the paid request exactly once and return the accepted task; `body.sent` tells that it is about to leave.

        `wanted` is asked once more when nothing is left but to send it; None where it says no, and nothing is sent.
        Raises `TransientError` (surely nothing was created), `RateLimitedError`, `RejectedError`, `FatalError` or
        `AmbiguousError`.
        """

    async def status(self, task: Task) -> TaskReport:
        """Ask once how the task stands. An error says nothing about the task."""

    async def find(self, external_id: str, base_url: str) -> Task | None:
        """Look up a task by the caller's id at the host that its submit went to; None where it says that it knows none.

        Whatever is neither a task nor such a word is an error, and says nothing.
        """


class Prices(Protocol):
    """What attempts cost; free of charge, and without waiting."""

    def quote(self, job: Job) -> Quote:
        """What one attempt of the job costs, before it is bought; may be called on another thread."""

    def actual(self, job: Job, usage: Mapping[str, Any]) -> Actual:
        """What an attempt came to, by the usage that the service reports for a task that succeeded."""


class VideoStore(Protocol):
    """Brings a result URL to a file, whole or not at all."""

    def free_bytes(self) -> int:
        """Free space where the videos go."""

    async def fetch(self, url: str, output: str) -> StoredFile:
        """Download `url` to `output` (relative to `videos/`), going on where an earlier try of this output stopped.

        On return the file under its final name is complete, checked, hashed and flushed. Raises `DownloadError`s.
        """

    async def discard(self, output: str) -> None:
        """Remove what an unfinished download of `output` left behind; a whole file stays."""

    async def verify(self, file: StoredFile) -> str | None:
        """What is wrong with a stored file, in words, or None where it still is what the record says.

        Raises `FolderError` where the file cannot be read, which says nothing about what it holds.
        """
