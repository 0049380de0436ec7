"""Promise 1: the intent is durable before the request leaves. Here the request does not wait for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pipeline.core.body import Body
from pipeline.core.jobs import JobState, Record
from pipeline.engine.desk import Desk
from tests.engine.replacing import replaced

CAUGHT = r"left without a durable intent|could be charged and \d+ is on record"


async def _intend(desk: Desk, record: Record, body: Body, base_url: str) -> Record:
    now = desk.now()
    desk._ledger.intent(
        record.job.job_id, base_url=base_url, body_digest=body.sha256, at=now, external_id=record.external_id
    )
    return desk._moved(replace(record, state=JobState.SUBMITTING, attempt=record.attempt + 1, submitted_at=now))


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Desk, "intend", _intend):
        yield
