"""Promise 5: a refusal gives back what was reserved, once. Here it makes room for another job that nobody allowed."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.engine.budget import Budget, Share
from tests.engine.replacing import replaced

CAUGHT = r"with a budget of|with a cap of"

_release = Budget.release


def _twice(budget: Budget, job_id: str, *, doubted: bool = False) -> None:
    share = budget._shares.get(job_id, Share())
    _release(budget, job_id, doubted=doubted)
    budget._money -= share.money
    budget._tasks -= share.tasks
    budget._seconds -= share.seconds


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Budget, "release", _twice):
        yield
