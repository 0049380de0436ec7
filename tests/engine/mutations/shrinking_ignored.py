"""A service that refuses is used less. Here the slots stay as many as they were at first."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.engine.slots import Slots
from tests.engine.replacing import replaced

CAUGHT = r"slots were in use with"


def _take_at_will(slots: Slots, limit: int) -> None:
    first = max(limit, slots._limit)
    slots._limit = first
    slots._serve()
    slots._limit = limit


def _returned(slots: Slots) -> None:
    slots._in_use -= 1
    while slots._waiters:
        waiter = slots._waiters.popleft()
        if not waiter.done():
            waiter.set_result(slots.seize())
            return


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Slots, "resize", _take_at_will), replaced(Slots, "_returned", _returned):
        yield
