"""A refusal that created nothing is no attempt. Here every 429 counts as one."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.ledger import transitions
from tests.engine.replacing import replaced

CAUGHT = r"was allowed|times in a run"


@contextmanager
def broken() -> Iterator[None]:
    with replaced(transitions, "_WITHDRAW", transitions._WITHDRAW.replace("attempt = attempt - 1, ", "")):
        yield
