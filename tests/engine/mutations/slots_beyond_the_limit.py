"""The service is never used beyond the slots. Here one more is given out to those who wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.engine.slots import Slots
from tests.engine.replacing import replaced

CAUGHT = r"slots were in use with|tasks were in flight"


def _serve(slots: Slots) -> None:
    while slots._waiters and slots._in_use <= slots._limit:
        waiter = slots._waiters.popleft()
        if not waiter.done():
            waiter.set_result(slots.seize())


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Slots, "_serve", _serve):
        yield
