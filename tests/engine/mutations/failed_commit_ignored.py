"""Promise 2: nothing is lost. Here a commit that the disk refuses is reported as done."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.ledger.writer import _GroupWriter
from tests.engine.replacing import replaced

CAUGHT = r"."


_commit = _GroupWriter._commit


def _as_if(writer: _GroupWriter) -> None:
    try:
        _commit(writer)
    except OSError:
        writer._connection.rollback()


@contextmanager
def broken() -> Iterator[None]:
    with replaced(_GroupWriter, "_commit", _as_if):
        yield
