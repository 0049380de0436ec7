"""Promise 1: the intent is durable before the request leaves. Here it is written with the answer."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from pipeline.core.body import Body
from pipeline.core.jobs import JobState, Record, Task
from pipeline.engine.desk import Desk
from tests.engine.replacing import replaced

CAUGHT = r"left without a durable intent"


async def _intend(desk: Desk, record: Record, body: Body, base_url: str) -> Record:
    return replace(record, state=JobState.SUBMITTING, attempt=record.attempt + 1, submitted_at=desk.now())


async def _accepted(desk: Desk, record: Record, task: Task) -> Record:
    now = desk.now()
    desk._ledger.intent(record.job.job_id, base_url=task.base_url, body_digest="", at=now)
    await desk._ledger.accepted(record.job.job_id, task, at=now)
    return desk._moved(replace(record, state=JobState.RUNNING, task=task, submitted_at=now))


def _withdraw(desk: Desk, record: Record) -> Record:
    return desk._moved(replace(record, state=JobState.QUEUED, attempt=record.attempt - 1, submitted_at=None))


@contextmanager
def broken() -> Iterator[None]:
    with ExitStack() as stack:
        for name, method in (("intend", _intend), ("accepted", _accepted), ("withdraw", _withdraw)):
            stack.enter_context(replaced(Desk, name, method))
        yield
