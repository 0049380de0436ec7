"""Promise 1: a submit that is looked up goes out again under the same id of ours. Here it gets a new one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pipeline.core.jobs import Record
from pipeline.engine.desk import Desk
from tests.engine.replacing import replaced

CAUGHT = r"was paid \d times|nobody knows it|could be charged"


_withdraw = Desk.withdraw


def _without_id(desk: Desk, record: Record, **doubts: bool) -> Record:
    return replace(_withdraw(desk, record, **doubts), external_id=None)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Desk, "withdraw", _without_id):
        yield
