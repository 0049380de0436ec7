"""Promise 4: downloads never hold a slot. Here it comes back when the video is on disk."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.jobs import Record
from pipeline.engine.desk import Desk
from pipeline.engine.poller import Pollers, Watch
from pipeline.engine.slots import Slot
from tests.engine.replacing import replaced

CAUGHT = r"slots were in use for"


_let_go = Desk.let_go


@contextmanager
def broken() -> Iterator[None]:
    held: dict[str, Slot] = {}

    def give_up_slot(pollers: Pollers, watch: Watch) -> None:
        pollers.watched -= 1
        watch.over = True
        held[watch.record.job.job_id] = watch.slot

    def let_go(desk: Desk, record: Record) -> None:
        _let_go(desk, record)
        if record.job.job_id in held:
            held.pop(record.job.job_id).give_back()

    with replaced(Pollers, "_give_up_slot", give_up_slot), replaced(Desk, "let_go", let_go):
        yield
