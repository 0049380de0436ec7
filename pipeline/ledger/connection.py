"""The connection that writes a ledger, and what it remembers of its own writing."""

import sqlite3
from functools import lru_cache
from operator import add
from typing import Any

import msgspec

_MOST = 20_000
"""Attempts that are remembered, of those that are under way: some 15 MB. The oldest are forgotten first."""
_LIGHT = 2048
"""Characters of a job's `spec` up to which its attempt is: pictures that stand in a manifest are in there."""


Purchase = tuple[str, int | None, int | None, int | None, int | None, int]
"""What a row of `purchases` adds to the sums: currency, expected, worst and actual amount, seconds, whether it ended.

Amounts are in millionths, seconds in thousandths. A bare tuple: each step of an attempt makes and counts one.
"""


class Attempt(msgspec.Struct, gc=False):
    """What the steps of an attempt need to know of it."""

    seq: int
    """The job's."""
    number: int
    state: str
    spec: str
    task_id: str | None = None
    request_id: str | None = None
    submitted_at: float | None = None
    report: str | None = None
    """JSON: the status answer that ended the task."""
    purchase: Purchase | None = None
    """None where nothing was bought."""


_COUNT = """
    INSERT INTO spending (currency, tasks, spent, estimated, reserved, at_most, seconds, unpriced, unmeasured)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (currency) DO UPDATE SET tasks = tasks + excluded.tasks, spent = spent + excluded.spent,
        estimated = estimated + excluded.estimated, reserved = reserved + excluded.reserved,
        at_most = at_most + excluded.at_most, seconds = seconds + excluded.seconds,
        unpriced = unpriced + excluded.unpriced, unmeasured = unmeasured + excluded.unmeasured
"""


class LedgerConnection(sqlite3.Connection):
    """A connection that need not read what it has just written itself.

    What it remembers stands in the file as well, and whoever goes by it names the state that the job leaves in the
    statement that moves it. So a memory that is wrong ends in a conflict and never in a wrong row.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row_factory = sqlite3.Row
        self.write = self.cursor().execute
        """Carries out a statement that answers nothing; the cursor is the same each time."""
        self.lines: list[tuple[int, str]] | None = None
        """The results lines since somebody took them, each with its number; None where nobody takes them."""
        self.uncounted: dict[Purchase, int] = {}
        """How many more rows of each kind `purchases` has than its sums tell; negative where there are fewer."""
        self._attempts: dict[str, Attempt] = {}

    def attempt(self, job_id: str) -> Attempt | None:
        """The attempt of a job that is under way, where it is remembered."""
        return self._attempts.get(job_id)

    def remember(self, job_id: str, attempt: Attempt) -> None:
        """An attempt has begun, or goes on."""
        if len(attempt.spec) <= _LIGHT:
            self._attempts[job_id] = attempt
            if len(self._attempts) > _MOST:
                del self._attempts[next(iter(self._attempts))]

    def forget(self, job_id: str) -> None:
        """The job's row is written by somebody who tells nothing here, or its attempt is over."""
        self._attempts.pop(job_id, None)

    def forget_all(self) -> None:
        """Rows are written many at a time."""
        self._attempts.clear()

    def rolled_back(self) -> None:
        """What was written since the last commit is not there."""
        self.forget_all()
        self.uncounted.clear()

    # -- what attempts cost

    def bought(self, purchase: Purchase, more: int = 1) -> None:
        """So many more rows of the kind are in `purchases`; -1 where one is gone, or no longer what it was."""
        self.uncounted[purchase] = self.uncounted.get(purchase, 0) + more

    def count(self) -> None:
        """Add to the sums what the rows have changed by. Before every commit, in its transaction."""
        if not self.uncounted:
            return
        totals: dict[str, list[int]] = {}
        for purchase, more in self.uncounted.items():
            if more:
                changes = [more * term for term in _terms(purchase)]
                before = totals.get(purchase[0])
                totals[purchase[0]] = list(map(add, before, changes)) if before else changes
        self.uncounted.clear()
        for currency, changes in totals.items():
            self.write(_COUNT, (currency, *changes))


@lru_cache(maxsize=256)
def _terms(purchase: Purchase) -> tuple[int, ...]:
    """What a row is to each of the sums, in their order. Most rows of a batch are alike."""
    _, expected, worst, actual, seconds, ended = purchase
    known = (expected if actual is None else actual) or 0
    most = worst if actual is None else actual
    return (
        1,
        known if ended else 0,
        known if ended and actual is None else 0,
        0 if ended else worst or 0,
        most or 0,
        seconds or 0,
        most is None,
        seconds is None,
    )
