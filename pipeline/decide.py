"""A person's decision about a job whose submit has an unknown outcome."""

import time
from enum import StrEnum
from pathlib import Path

from pipeline.api import new_run_id
from pipeline.core.errors import UsageError
from pipeline.core.jobs import Job, JobState, Task
from pipeline.folder import hold
from pipeline.ledger import Ledger, LedgerReader, UnknownJob
from pipeline.settings import DEFAULT_ENDPOINT


class Decision(StrEnum):
    """What shall become of the job."""

    ADOPT = "adopt"
    """The task was found at the service: the next run collects it."""
    RESUBMIT = "resubmit"
    """Another attempt is bought by the next run."""
    WRITE_OFF = "write off"
    """The job has failed."""


async def decide(folder: Path, job_id: str, decision: Decision, task_id: str | None = None) -> Job:
    """Put the decision on record and return the job; `task_id` goes with `ADOPT`.

    Raises `UsageError` where the folder holds no batch or the job is not unknown, and `FolderBusyError` where a run
    holds the folder.
    """
    LedgerReader(folder).close()  # a mistyped folder is reported before `hold` would make it
    with hold(folder):
        unknown = _unknown(folder, job_id)
        ledger = await Ledger.open(folder, run_id=new_run_id(), at=time.time(), counts_as_run=False)
        try:
            await _put_on_record(ledger, unknown, decision, task_id)
        finally:
            await ledger.close(at=time.time())
    return unknown.record.job


def _unknown(folder: Path, job_id: str) -> UnknownJob:
    with LedgerReader(folder) as reader:
        found = next((unknown for unknown in reader.unknown() if unknown.record.job.job_id == job_id), None)
        if found is not None:
            return found
        record = reader.record(job_id)
    if record is None:
        raise UsageError(f"there is no job {job_id} in {folder}")
    raise UsageError(f"job {job_id} is {record.state}; only an {JobState.UNKNOWN} job waits for a decision")


async def _put_on_record(ledger: Ledger, unknown: UnknownJob, decision: Decision, task_id: str | None) -> None:
    job_id, now = unknown.record.job.job_id, time.time()
    match decision:
        case Decision.ADOPT:
            if not task_id or not task_id.strip():
                raise UsageError("the task id is empty")
            task = Task(task_id.strip(), unknown.base_url or DEFAULT_ENDPOINT)
            await ledger.resolve_task(job_id, task, at=now)
        case Decision.RESUBMIT:
            await ledger.resolve_resubmit(job_id, at=now)
        case Decision.WRITE_OFF:
            await ledger.resolve_write_off(job_id, at=now, message="written off by hand")
