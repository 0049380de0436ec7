"""Promise 6: a stop ends within its grace. Here it waits for whatever is under way, however long."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.engine.batch import Batch
from pipeline.engine.desk import Stop
from tests.engine.replacing import replaced

CAUGHT = r"a stop took"


_go_home = Batch.go_home


def _at_leisure(batch: Batch, stop: Stop, grace: float | None = None) -> None:
    _go_home(batch, stop, 100_000.0)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Batch, "go_home", _at_leisure):
        yield
