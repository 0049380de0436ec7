"""Promise 5: what an attempt may cost is durable with its intent. Here no ledger is told, and a crash forgets it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.money import Quote
from pipeline.ledger import purchases
from tests.engine.replacing import replaced

CAUGHT = r"is on record"


def _nothing(_connection: sqlite3.Connection, _seq: int, _attempt: int, _quote: Quote | None) -> None:
    return None


@contextmanager
def broken() -> Iterator[None]:
    with replaced(purchases, "buy", _nothing):
        yield
