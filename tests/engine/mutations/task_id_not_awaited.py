"""Promise 1: the task id is durable before anything else happens with it. Here nobody waits for that."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pipeline.core.jobs import JobState, Record, Task
from pipeline.engine.desk import Desk
from tests.engine.replacing import replaced

CAUGHT = r"is not on record|asked about before its id was durable"


async def _accepted(desk: Desk, record: Record, task: Task) -> Record:
    desk._ledger.accepted(record.job.job_id, task, at=desk.now())
    return desk._moved(replace(record, state=JobState.RUNNING, task=task, submitted_at=desk.now()))


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Desk, "accepted", _accepted):
        yield
