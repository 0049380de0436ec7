"""Promise 5: nothing is bought that was not wanted. Here `--limit` says nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.engine.queue import JobQueue
from pipeline.ledger import Ledger
from tests.engine.replacing import replaced

CAUGHT = r"with a limit of"


_init = JobQueue.__init__


def _without_limit(queue: JobQueue, ledger: Ledger, *, select: str | None = None, limit: int | None = None) -> None:
    _init(queue, ledger, select=select)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(JobQueue, "__init__", _without_limit):
        yield
