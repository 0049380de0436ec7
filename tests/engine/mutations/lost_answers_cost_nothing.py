"""Promise 5: an unknown submit counts as spent. Here its price is given back with its job's end."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.jobs import Failure, Record
from pipeline.engine.desk import Desk
from tests.engine.replacing import replaced

CAUGHT = r"with a budget of|with a cap of"

_lost = Desk.lost


async def _for_nothing(desk: Desk, record: Record, failure: Failure) -> None:
    desk.budget.release(record.job.job_id)
    await _lost(desk, record, failure)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Desk, "lost", _for_nothing):
        yield
