"""Promise 5: what is checked is reserved in the same step. Here submits that write their intents together all fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pipeline.core.body import Body
from pipeline.core.jobs import JobState, Record
from pipeline.engine.budget import Verdict
from pipeline.engine.desk import Desk
from tests.engine.replacing import replaced

CAUGHT = r"with a budget of|with a cap of"


async def _intend(desk: Desk, record: Record, body: Body, base_url: str) -> Record | None:
    if desk.affordable(record) is not Verdict.FITS:
        return None
    now, digest, quote = desk.now(), body.sha256, desk.prices.quote(record.job)
    attempt = await desk._ledger.intent(
        record.job.job_id, base_url=base_url, body_digest=digest, at=now, external_id=record.external_id, quote=quote
    )
    desk.budget.reserve(record.job.job_id, quote)
    return desk._moved(replace(record, state=JobState.SUBMITTING, attempt=attempt, submitted_at=now))


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Desk, "intend", _intend):
        yield
