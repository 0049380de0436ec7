"""Promise 2: what was accepted is tracked over any number of runs. Here a new run forgets what is running."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.ledger import queries
from tests.engine.replacing import replaced

CAUGHT = r"has not ended: it is running|nobody was told that it was left|tasks were in flight"


_ONLY_FETCHING = "SELECT * FROM jobs WHERE state = 'fetching' AND seq > ? ORDER BY seq LIMIT ?"


@contextmanager
def broken() -> Iterator[None]:
    with replaced(queries, "_UNFINISHED", _ONLY_FETCHING):
        yield
