"""Promise 1: a paid POST is sent once per attempt. Here a lost answer counts as an outage."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.errors import ServiceError
from pipeline.core.jobs import Record
from pipeline.engine.producer import Producer
from tests.engine.replacing import replaced

CAUGHT = r"was sent twice|was paid \d times|nobody knows it"


async def _lost(producer: Producer, record: Record, error: ServiceError) -> None:
    producer._again(record, error, producer._account.unanswered(None), first=False)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Producer, "_lost", _lost):
        yield
