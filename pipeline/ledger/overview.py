"""What a ledger says at a glance: how the jobs stand, why some failed, what it all came to."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pipeline.core.jobs import JobState, Record
from pipeline.core.money import Spending
from pipeline.core.values import Value
from pipeline.ledger.faults import translated
from pipeline.ledger.schema import LEDGER_NAME, close_on_error, has_memory, has_notices, has_purchases, open_for_reading

T = TypeVar("T")

PRICES_KEY = "prices_as_of"
"""Under which a ledger remembers the day of the prices that its last run went by."""


class Run(Value):
    """One run over the batch; Unix seconds."""

    run_id: str
    started_at: float
    ended_at: float | None
    """None while the run goes on, and for good where it was killed."""


class UnknownJob(Value):
    """A job that waits for a decision, with everything that helps to find its task at the vendor's."""

    record: Record
    """Its outcome's failure says what was lost; its task is there where the service forgot one that it had given."""
    intent_at: float | None
    """Unix seconds; the request left right after."""
    body_digest: str | None
    """Hex SHA-256 of the request's body."""
    base_url: str | None


class FailureGroup(Value):
    """Failed jobs with the same reason."""

    stage: str
    code: str
    count: int
    job_id: str
    """The first of them in the order of enrolment."""
    message: str
    """That job's."""
    comes_again: int = 0
    """How many of them the next run downloads again without paying."""


class Overview:
    """One moment of a ledger: every answer is as of the opening. A context manager; it writes nothing.

    Opening raises `UsageError` where the folder holds no batch; everything raises `LedgerError` where the file cannot
    be read.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LEDGER_NAME
        self._connection = open_for_reading(folder)
        with close_on_error(self._connection), translated(self._path):
            self._connection.execute("BEGIN")
            self._connection.execute("SELECT made_by FROM meta").fetchone()  # the first question fixes the moment
            self._has_memory = has_memory(self._connection)
            self._has_purchases = has_purchases(self._connection)
            self._has_notices = has_notices(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state, every state named."""
        with translated(self._path):
            return counts(self._connection)

    def runs(self) -> list[Run]:
        """Every run so far, the oldest first."""
        with translated(self._path):
            return runs(self._connection)

    def failures(self) -> list[FailureGroup]:
        """Why jobs failed, the most frequent reason first."""
        with translated(self._path):
            return failures(self._connection)

    def unknown(self) -> Iterator[UnknownJob]:
        """The jobs that wait for a decision, streamed."""
        return self._stream(unknown(self._connection))

    def spending(self) -> list[Spending] | None:
        """What all attempts came to, by currency; None where the ledger is of a version that did not note it."""
        with translated(self._path):
            return spending(self._connection) if self._has_purchases else None

    def recall(self, key: str) -> str | None:
        """What was last remembered under the key; None where nothing was."""
        with translated(self._path):
            return recall(self._connection, key) if self._has_memory else None

    def _stream(self, items: Iterator[T]) -> Iterator[T]:
        with translated(self._path):
            yield from items


# -- questions ------------------------------------------------------------------------------------------------------

_COUNTS = "SELECT state, count(*) FROM jobs GROUP BY state"
_RUNS = "SELECT run_id, started_at, ended_at FROM runs ORDER BY started_at, rowid"
_RECALL = "SELECT value FROM memory WHERE key = ?"
_UNKNOWN = "SELECT * FROM jobs WHERE state = 'unknown' ORDER BY seq"
_FAILURES = """
    SELECT failure_stage, failure_code, count(*) AS many, job_id, failure_message, sum(download_again), min(seq)
    FROM jobs WHERE state = 'failed' GROUP BY failure_stage, failure_code ORDER BY many DESC, min(seq)
"""
"""SQLite takes the bare columns from the row that has the minimum (https://sqlite.org/lang_select.html#bareagg)."""
_SPENDING = """
    SELECT currency, tasks, spent, estimated, reserved, at_most, seconds, unpriced, unmeasured
    FROM spending WHERE tasks > 0 ORDER BY currency
"""


def counts(connection: sqlite3.Connection) -> dict[JobState, int]:
    """How many jobs are in each state, every state named."""
    found = dict.fromkeys(JobState, 0)
    for state, count in connection.execute(_COUNTS):
        found[JobState(state)] = count
    return found


def runs(connection: sqlite3.Connection) -> list[Run]:
    """Every run so far, the oldest first."""
    return [Run(*row) for row in connection.execute(_RUNS)]


def recall(connection: sqlite3.Connection, key: str) -> str | None:
    """What was remembered under the key; None where nothing was."""
    row = connection.execute(_RECALL, (key,)).fetchone()
    return None if row is None else str(row["value"])


def spending(connection: sqlite3.Connection) -> list[Spending]:
    """What all attempts came to, by currency."""
    return [Spending(*row) for row in connection.execute(_SPENDING)]


def failures(connection: sqlite3.Connection) -> list[FailureGroup]:
    """Why jobs failed, the most frequent reason first."""
    return [FailureGroup(*tuple(row)[:6]) for row in connection.execute(_FAILURES)]


def unknown(connection: sqlite3.Connection) -> Iterator[UnknownJob]:
    """The jobs that wait for a decision."""
    for row in connection.execute(_UNKNOWN):
        yield UnknownJob(_record_of(row), row["intent_at"], row["body_digest"], row["base_url"])


def _record_of(row: sqlite3.Row) -> Record:
    from pipeline.ledger.codec import record_of  # reads JSON by a library that a batch without such a job does without

    return record_of(row)
