"""What a ledger says between two runs, read from outside."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.core.jobs import JobState
from pipeline.ledger import LEDGER_NAME

Line = Mapping[str, Any]
"""One line of results.jsonl."""

_ROWS = "SELECT job_id, state, attempt, task_id, external_id, download_again FROM jobs ORDER BY seq"
_LINES = "SELECT line FROM results ORDER BY seq"
_TABLES = "SELECT count(*) FROM sqlite_master WHERE name = 'spending'"
_AT_MOST = "SELECT coalesce(sum(coalesce(actual, worst)), 0) FROM purchases"
_SUMMED_UP = "SELECT coalesce(sum(at_most), 0) FROM spending"


@dataclass(frozen=True, slots=True)
class Row:
    """One job."""

    state: JobState
    attempt: int
    task_id: str | None
    external_id: str | None
    download_again: bool
    """Failed, but the next run fetches the videos again without paying."""


@dataclass(frozen=True)
class Snapshot:
    """Every job, and the results lines in their order."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    at_most: int = 0
    """What all purchases come to at worst, in millionths."""
    summed_up: int = 0
    """The same by the sums that the ledger keeps."""

    @cached_property
    def lines(self) -> list[Line]:
        """The results lines, read."""
        return [json.loads(text) for text in self.texts]

    @property
    def task_ids(self) -> set[str | None]:
        """Every task that is or was on record."""
        return {row.task_id for row in self.rows.values()} | {line["task_id"] for line in self.lines}


def snapshot(folder: Path) -> Snapshot:
    """The ledger of a folder as it is on disk; an empty one where no run came so far."""
    path = folder / LEDGER_NAME
    if not path.exists():
        return Snapshot()
    with closing(sqlite3.connect(path)) as connection:
        if connection.execute(_TABLES).fetchone() == (0,):
            return Snapshot()
        rows = {
            job_id: Row(JobState(state), attempt, task_id, external_id, bool(again))
            for job_id, state, attempt, task_id, external_id, again in connection.execute(_ROWS)
        }
        lines = tuple(text for (text,) in connection.execute(_LINES))
        return Snapshot(rows, lines, *(connection.execute(sql).fetchone()[0] for sql in (_AT_MOST, _SUMMED_UP)))
