"""Promise 1: a lost answer leaves the job unknown. Here a stop puts it back as if nothing had been sent."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.jobs import Failure, Record
from pipeline.engine.desk import Desk
from tests.engine.replacing import replaced

CAUGHT = r"nobody knows it|was sent twice"


def _put_back(desk: Desk, record: Record, failure: Failure) -> None:
    desk.let_go(desk.withdraw(record))


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Desk, "abandon", _put_back):
        yield
