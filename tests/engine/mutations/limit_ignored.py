"""Promise 5: nothing is bought that was not wanted. Here `--limit` says nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.engine.queue import JobQueue
from pipeline.ledger import Ledger
from tests.engine.replacing import replaced

CAUGHT = r"with a limit of"


_init = JobQueue.__init__


def _without_limit(queue: JobQueue, ledger: Ledger, *, limit: int | None = None, **others: Any) -> None:
    _init(queue, ledger, **others)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(JobQueue, "__init__", _without_limit):
        yield
