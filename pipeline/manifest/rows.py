"""What the readers hand on: rows, problems, and the news that a file cannot be read any further."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.catalog import plain
from pipeline.core.errors import ManifestError, Problem

MOST = 100
"""Problems (and warnings) that are kept; the others are only counted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One job as its file has it, before anything is checked."""

    line: int
    values: Mapping[str, Any]
    """Plain JSON values under the names that the author wrote."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """The line of each key and list item by dotted path, where the format tells."""
    sound: bool = True
    """False where the reader has already reported something about the row."""


class BrokenFileError(Exception):
    """The file cannot be read beyond this line; caught where the rows are drawn."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class Problems:
    """Everything wrong with one manifest: the first hundred in full, the others as a number."""

    def __init__(self, file: str) -> None:
        self.file = plain(file, 1000)
        self.total = 0
        self._kept: list[Problem] = []
        self._warnings: list[Problem] = []
        self._warned = 0
        self._said: set[tuple[str | None, str]] = set()

    def add(self, line: int | None, message: str, *, job_id: str | None = None, path: str | None = None) -> None:
        """Something is wrong."""
        self.total += 1
        if len(self._kept) < MOST:
            self._kept.append(self._problem(line, message, job_id, path))

    def warn(self, line: int | None, message: str, *, job_id: str | None = None, path: str | None = None) -> None:
        """Something may be wrong, and the job is run all the same."""
        self._warned += 1
        if len(self._warnings) < MOST:
            self._warnings.append(self._problem(line, message, job_id, path))

    def first_time(self, path: str | None, message: str) -> bool:
        """Whether this is said for the first time; for what is true of many rows and worth one line."""
        fresh = (path, message) not in self._said
        if len(self._said) < 10 * MOST:
            self._said.add((path, message))
        return fresh

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The kept warnings in the order of the file, with a last line about the others."""
        if self._warned <= MOST:
            return tuple(self._warnings)
        more = Problem(self.file, None, None, None, f"… and {self._warned - MOST} more warnings")
        return (*self._warnings, more)

    def error(self) -> ManifestError:
        """All of it, in the order of the file."""
        return ManifestError(sorted(self._kept, key=lambda problem: problem.line or 0), self.total)

    def _problem(self, line: int | None, message: str, job_id: str | None, path: str | None) -> Problem:
        return Problem(
            self.file, line, plain(job_id, 130) if job_id else None, plain(path, 200) if path else None, message
        )
