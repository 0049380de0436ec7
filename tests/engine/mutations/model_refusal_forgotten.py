"""Promise 5: nothing is asked for that was refused. Here a refused model is submitted on and on."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.engine.queue import JobQueue
from tests.engine.replacing import replaced

CAUGHT = r"after its model was refused|goes on for ever"


@contextmanager
def broken() -> Iterator[None]:
    with replaced(JobQueue, "block", lambda _queue, _model: None):
        yield
