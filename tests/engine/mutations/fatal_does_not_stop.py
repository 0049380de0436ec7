"""Promise 5: submitting stops at the first refusal of the account. Here it is only told."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.engine.desk import Stop
from pipeline.engine.producer import Producer
from tests.engine.replacing import replaced

CAUGHT = r"after the account was refused|after submitting had stopped|goes on for ever"


def _only_tell(producer: Producer, stop: Stop) -> None:
    producer._desk.stop(stop)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Producer, "stop", _only_tell):
        yield
