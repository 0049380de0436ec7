"""Promise 1: what may have been paid for is in doubt, and nothing else. Here a stop doubts what never left."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.body import Body
from pipeline.core.jobs import Record, Task
from pipeline.engine.producer import Producer
from tests.engine.replacing import replaced

CAUGHT = r"no request for it has left"

_sent_home = Producer._sent_home


async def _doubting(
    producer: Producer, queued: Record, record: Record, body: Body, asked: "asyncio.Future[Task | None]"
) -> None:
    body.sent = True
    await _sent_home(producer, queued, record, body, asked)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Producer, "_sent_home", _doubting):
        yield
