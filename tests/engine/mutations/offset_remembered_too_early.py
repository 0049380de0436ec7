"""Promise 3: a results line is written exactly once. Here lines count as exported before they are."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.ledger.results import ResultsFile
from tests.engine.replacing import replaced

CAUGHT = r"results.jsonl"


def _remember(_file: ResultsFile, connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE meta SET exported_seq = (SELECT coalesce(max(seq), 0) FROM results)")


@contextmanager
def broken() -> Iterator[None]:
    with replaced(ResultsFile, "remember_if_due", _remember):
        yield
