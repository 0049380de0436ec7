"""Promise 5: what runs counts at its worst until it has ended. Here it counts no more once it is accepted."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.jobs import Record, Task
from pipeline.engine.desk import Desk
from tests.engine.replacing import replaced

CAUGHT = r"with a budget of|with a cap of"

_accepted = Desk.accepted


async def _for_nothing(desk: Desk, record: Record, task: Task) -> Record:
    desk.budget.release(record.job.job_id)
    return await _accepted(desk, record, task)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Desk, "accepted", _for_nothing):
        yield
