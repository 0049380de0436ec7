"""Promise 5: what was in doubt counts while it is tried again. Here the service's word, told twice, frees it."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.jobs import Record
from pipeline.engine.desk import Desk
from tests.engine.replacing import replaced

CAUGHT = r"with a budget of|with a cap of|is on record"

_withdraw = Desk.withdraw


def _for_nothing(desk: Desk, record: Record, *, doubted: bool = False) -> Record:
    return _withdraw(desk, record)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Desk, "withdraw", _for_nothing):
        yield
