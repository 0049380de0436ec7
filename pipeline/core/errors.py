"""Every error that is an answer, one class for each decision that the caller makes.

PipelineError                  the shell prints it in one line and exits with `exit_code`
 ├── UsageError                2: bad usage, manifest or settings; nothing was submitted
 │    ├── ManifestError        all problems of a manifest at once
 │    └── SettingsError
 ├── FolderBusyError           75: another run holds the output folder
 ├── StoppedError              3: a stop came before there was anything to run
 ├── FolderError               3: the output folder cannot be written or read
 │    └── LedgerError          the ledger cannot go on (disk full, damaged, made by a newer version)
 ├── ServiceError              an answer of the service, or the lack of one
 │    ├── TransientError       ask again: surely nothing was created
 │    │    └── RateLimitedError  …and everybody slows down
 │    ├── RejectedError        this job (or question) is at fault
 │    ├── FatalError           the account is refused: submit nothing more
 │    └── AmbiguousError       a task may exist and may cost money: never send again by ourselves
 └── DownloadError             a result did not become a file
      ├── InterruptedDownloadError  go on at the same byte, or from the start
      ├── LinkExpiredError     ask the status for a fresh URL
      ├── UnusableResultError  what is served there is not a video we may keep
      └── NoSpaceError         this machine's disk is at fault, not the result

Anything that is not a PipelineError is a bug and is meant to be seen.
"""

from collections.abc import Sequence
from enum import StrEnum

from pipeline.core.values import Value


class PipelineError(Exception):
    """Something went wrong that the user can act on."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__class__.__doc__)

    @property
    def message(self) -> str:
        """The sentence for the user."""
        return str(self.args[0])


class UsageError(PipelineError):
    """The command cannot be carried out as written."""

    exit_code = 2


class Problem(Value):
    """One thing that is wrong in a manifest: where, and what would be right."""

    file: str
    line: int | None
    job_id: str | None
    path: str | None
    """Dotted, such as `parameters.duration`."""
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        job = f"job {self.job_id}" if self.job_id else None
        return ": ".join(part for part in (where, job, self.path, self.message) if part)


class ManifestError(UsageError):
    """The manifest has problems; nothing was submitted."""

    def __init__(self, problems: Sequence[Problem], total: int | None = None, untold: int = 0) -> None:
        self.problems = tuple(problems)
        """In the order of the file; where there are very many, the first of each kind with the number of the others."""
        self.total = len(problems) if total is None else total
        """How many there are in all."""
        lines = [str(problem) for problem in self.problems]
        if untold:
            lines.append(f"… and {untold:,} more {'problem' if untold == 1 else 'problems'}")
        super().__init__("\n".join(lines))


class SettingsError(UsageError):
    """A setting is unknown or has a value that it cannot have."""


class FolderBusyError(PipelineError):
    """Another run holds the output folder."""

    exit_code = 75


class StoppedError(PipelineError):
    """The run was stopped before the manifest was enrolled; nothing was submitted."""

    exit_code = 3


class FolderError(PipelineError):
    """The output folder cannot be used."""

    exit_code = 3


class LedgerError(FolderError):
    """The ledger cannot go on."""


class Scope(StrEnum):
    """How far a refusal reaches."""

    JOB = "job"
    MODEL = "model"
    """Every job with this model will fail the same way."""
    RUN = "run"


class ServiceError(PipelineError):
    """The service answered with an error, or not at all."""

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str = "service_error",
        http_status: int | None = None,
        scope: Scope = Scope.JOB,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        """Of the error envelope, or ours where there is none: `timeout`, `connection_lost`, `not_json`, …"""
        self.http_status = http_status
        self.scope = scope
        self.request_id = request_id
        self.retry_after = retry_after
        """Seconds from now that the service asked for, already made from a date where it was one; not capped."""


class TransientError(ServiceError):
    """The service could not answer now; surely nothing was created."""


class RateLimitedError(TransientError):
    """The service asks everybody to slow down."""


class RejectedError(ServiceError):
    """The service refuses this request as it is."""


class FatalError(ServiceError):
    """The service refuses the account or the client."""

    exit_code = 4


class AmbiguousError(ServiceError):
    """The answer was lost: a task may exist and may cost money."""


class DownloadError(PipelineError):
    """A result did not become a file."""

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str = "download_error",
        http_status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.retry_after = retry_after


class InterruptedDownloadError(DownloadError):
    """The transfer broke off; what has arrived is kept."""


class LinkExpiredError(DownloadError):
    """The result host no longer serves this URL (403, 404 or 410)."""


class UnusableResultError(DownloadError):
    """What the result host serves is not a file that we may keep (not a video, too large, a wrong scheme)."""


class NoSpaceError(DownloadError):
    """The disk of this machine cannot take the file."""
