"""Promise 4: slots never idle. Here the slot of a submit that made no task is never given back."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.jobs import Record
from pipeline.engine.producer import Producer
from pipeline.engine.slots import Slot
from tests.engine.replacing import replaced

CAUGHT = r"slots were not given back|slots were in use for|goes on for ever|Deadlock"


@contextmanager
def broken() -> Iterator[None]:
    def hand_over(producer: Producer, slot: Slot, submit: "asyncio.Task[Record | None]") -> None:
        with replaced(Slot, "give_back", lambda _slot: None):
            _hand_over(producer, slot, submit)

    with replaced(Producer, "_hand_over", hand_over):
        yield


_hand_over = Producer._hand_over
