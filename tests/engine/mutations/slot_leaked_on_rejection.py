"""Promise 4: slots never idle. Here the slot of a submit that made no task is never given back."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.jobs import Record
from pipeline.engine.producer import Producer, _Hand
from pipeline.engine.slots import Slot
from tests.engine.replacing import replaced

CAUGHT = r"slots were not given back|slots were in use for|goes on for ever|Deadlock"


@contextmanager
def broken() -> Iterator[None]:
    def hand_over(producer: Producer, hand: _Hand, running: Record | None) -> None:
        with replaced(Slot, "give_back", lambda _slot: None):
            _hand_over(producer, hand, running)

    with replaced(Producer, "_hand_over", hand_over):
        yield


_hand_over = Producer._hand_over
