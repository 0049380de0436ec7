"""Promise 1: the code never guesses about money. Here a submit without an answer is simply sent again."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.ledger import Recovery, transitions
from tests.engine.replacing import replaced

CAUGHT = r"nobody asked for|was allowed 0|was sent twice|nobody knows it"


_recover = transitions.recover


def _silently(connection: sqlite3.Connection, run_id: str, at: float) -> Recovery:
    recovery = _recover(connection, run_id, at)
    transitions.resubmit_unknown(connection, None, at)
    return recovery


@contextmanager
def broken() -> Iterator[None]:
    with replaced(transitions, "recover", _silently):
        yield
