"""The service is never used beyond the slots. Here a slot counts twice when its task ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.engine.poller import Pollers, Watch
from tests.engine.replacing import replaced

CAUGHT = r"slots were not given back|tasks were in flight"


_give_up_slot = Pollers._give_up_slot


def _twice(pollers: Pollers, watch: Watch) -> None:
    slots = watch.slot._slots
    _give_up_slot(pollers, watch)
    if slots is not None:
        slots._returned()


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Pollers, "_give_up_slot", _twice):
        yield
