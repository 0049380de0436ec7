"""Promise 5: whether the vendor charges for a failed task is not documented. Here its price makes room for others."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.jobs import Failure, Record, TaskReport
from pipeline.engine.desk import Desk
from tests.engine.replacing import replaced

CAUGHT = r"with a budget of|with a cap of"

_task_failed = Desk.task_failed


async def _for_nothing(desk: Desk, record: Record, report: TaskReport, failure: Failure) -> None:
    desk.budget.release(record.job.job_id)
    await _task_failed(desk, record, report, failure)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Desk, "task_failed", _for_nothing):
        yield
