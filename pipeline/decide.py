"""A person's decision about a job whose submit has an unknown outcome."""

import os
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from pipeline.api import new_run_id
from pipeline.core.errors import UsageError
from pipeline.core.jobs import Job, JobState, Task
from pipeline.folder import hold
from pipeline.ledger import Ledger, LedgerConflictError, LedgerReader
from pipeline.modelverse.wire import is_task_id
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
    """Put the decision on record and return the job; `task_id` goes with `ADOPT`, and is `checked_task_id`.

    An id that somebody gave can be given anew until a run has asked about it. Raises `UsageError` where the folder
    holds no batch or the job is not unknown, and `FolderBusyError` where a run holds the folder.
    """
    LedgerReader(folder).close()  # a mistyped folder is reported before `hold` would make it
    with hold(folder):
        job, base_url = _waiting(folder, job_id, decision)
        ledger = await Ledger.open(folder, run_id=new_run_id(), at=time.time(), counts_as_run=False)
        try:
            if decision is Decision.ADOPT:
                await _adopt(ledger, job_id, Task(task_id or "", base_url))
            elif decision is Decision.RESUBMIT:
                await ledger.resolve_resubmit(job_id, at=time.time())
            else:
                await ledger.resolve_write_off(job_id, at=time.time(), message="written off by hand")
        finally:
            await ledger.close(at=time.time())
    return job


def checked_task_id(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The id of a task as a person gave it. Raises `UsageError` where no task can have it, or where it is the key."""
    told, key = text.strip(), environ.get("MODELVERSE_API_KEY", "").strip()
    if not told:
        raise UsageError("the task id is empty")
    if " " in told or not told.isprintable():
        raise UsageError("the task id contains blanks, line breaks or control characters; give the id alone")
    if not is_task_id(told):
        raise UsageError(f"the task id has {len(told):,} characters, more than any id; give the id alone")
    if key and (told == key or not is_task_id(told, hide=lambda one: one.replace(key, "***"))):
        raise UsageError("what was given as the task id is the API key; copy the id from the service's console")
    return told


def _waiting(folder: Path, job_id: str, decision: Decision) -> tuple[Job, str]:
    """The job, and the host that has its task. Raises `UsageError` where nothing is to be decided."""
    with LedgerReader(folder) as reader:
        for unknown in reader.unknown():
            if unknown.record.job.job_id == job_id:
                return unknown.record.job, unknown.base_url or DEFAULT_ENDPOINT
        record = reader.record(job_id)
    if record is None:
        raise UsageError(f"there is no job {job_id} in {folder}")
    if decision is Decision.ADOPT and record.state is JobState.RUNNING and record.task:
        return record.job, record.task.base_url  # whether its task was given by hand, the ledger knows
    raise UsageError(f"job {job_id} is {record.state}; only an {JobState.UNKNOWN} job waits for a decision")


async def _adopt(ledger: Ledger, job_id: str, task: Task) -> None:
    try:
        await ledger.resolve_task(job_id, task, at=time.time())
    except LedgerConflictError as error:
        raise UsageError(
            f"job {job_id} is {JobState.RUNNING}, and a run knows its task; "
            f"only an {JobState.UNKNOWN} job waits for a decision"
        ) from error
