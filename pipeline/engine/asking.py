"""One question about a job's task, and whether the answer is about that task at all."""

from pipeline.core.errors import TransientError
from pipeline.core.jobs import Record, TaskReport
from pipeline.core.ports import Service


async def ask(service: Service, record: Record) -> TaskReport:
    """How the job's task stands; errors as of `Service.status`.

    An answer that names another task (a proxy or a cache has mixed them up) says nothing: `TransientError` with code
    `other_task`. A task that is asked for by an id of the caller's is answered under the service's own.
    """
    if record.task is None:
        raise ValueError(f"job {record.job.job_id} has no task to ask about")
    asked = record.task.task_id
    report = await service.status(record.task)
    named = report.task_id
    if named is None or named == asked or _plain(named) == _plain(asked) or _is_callers(asked, record):
        return report
    raise TransientError(f"task {asked} was asked for, and the answer is about task {named}", code="other_task")


def _plain(task_id: str) -> str:
    """Letters and digits: case, dashes and blanks make no other task."""
    return "".join(filter(str.isalnum, task_id)).casefold()


def _is_callers(task_id: str, record: Record) -> bool:
    """Whether the id is ours, or one that the author of the manifest gave the task."""
    return task_id == record.external_id or task_id in record.job.parameters.values()
