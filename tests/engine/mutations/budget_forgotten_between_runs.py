"""Promise 5: a budget holds for the folder. Here each run begins as if nothing had been spent before."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pipeline.core.money import Spending
from pipeline.engine import crew
from pipeline.engine.budget import Share
from tests.engine.replacing import replaced

CAUGHT = r"with a budget of|with a cap of"


def _nothing(_spending: Iterable[Spending]) -> Share:
    return Share()


@contextmanager
def broken() -> Iterator[None]:
    with replaced(crew, "spent_in", _nothing):
        yield
