"""Promise 1: a failure is paid for again only when somebody says so. Here every run tries again."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.ledger import Recovery, transitions
from tests.engine.replacing import replaced

CAUGHT = r"nobody asked for|was allowed 0"


_recover = transitions.recover


def _silently(connection: sqlite3.Connection, run_id: str, at: float) -> Recovery:
    recovery = _recover(connection, run_id, at)
    transitions.retry_failed(connection, None, at)
    return recovery


@contextmanager
def broken() -> Iterator[None]:
    with replaced(transitions, "recover", _silently):
        yield
