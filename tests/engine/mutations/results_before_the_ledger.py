"""Promise 3: results.jsonl is an export of the ledger. Here its lines are written before the commit."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.ledger.writer import _GroupWriter
from tests.engine.replacing import replaced

CAUGHT = r"results.jsonl says what the ledger does not|results.jsonl is not what"


_commit = _GroupWriter._commit


def _export_first(writer: _GroupWriter) -> None:
    writer._export()
    _commit(writer)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(_GroupWriter, "_commit", _export_first):
        yield
