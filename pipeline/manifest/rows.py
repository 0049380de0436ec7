"""What the readers hand on: rows, problems, and the news that a file cannot be read any further."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from pipeline.catalog import plain
from pipeline.core.errors import ManifestError, Problem
from pipeline.core.words import many

MOST = 100
"""Problems (and warnings) that are kept; the others are only counted."""
_ALIKE = 3
"""Problems of one kind that are kept where there are more than that in all, so that a mistake which a script made in
every row hides no other."""


class Row(Struct, frozen=True):
    """One job as its file has it, before anything is checked."""

    line: int
    values: Mapping[str, Any]
    """Plain JSON values under the names that the author wrote."""
    lines: Mapping[str, int] = {}
    """The line of each key and list item by dotted path, where the format tells."""
    sound: bool = True
    """False where the reader has already reported something about the row."""
    variant: str = ""
    """Which one of a sweep it is, for messages: `style=oil, take 2`."""
    gaps: frozenset[str] = frozenset()
    """Dotted paths, empty for the row itself, at and below which something that the author wrote could not be read."""

    def line_of(self, path: str) -> int:
        """The line of the value at a dotted path, of the nearest around it, or of the row."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path.rpartition(".")[0]
        return self.line


class Head(Struct, frozen=True):
    """What a YAML manifest says beside its jobs."""

    run: dict[str, Any] = {}
    run_lines: dict[str, int] = {}
    """Where each setting stands."""
    defaults: Row | None = None


class BrokenFileError(Exception):
    """The file cannot be read beyond this line; caught where the rows are drawn."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class Problems:
    """Everything wrong with one manifest: a hundred in full, or, where there are more, the first three of each kind.

    Of a kind are problems that say the same of the same key. The others are numbers.
    """

    def __init__(self, file: str) -> None:
        self.file = plain(file, 1000)
        self.total = 0
        self._kept: list[Problem] = []
        self._kinds: dict[tuple[str | None, str], int] = {}
        """How many there are of each kind, as far as kinds are told apart."""
        self._warnings: list[Problem] = []
        self._warned = 0
        self._said: set[tuple[str | None, str]] = set()
        self._places: dict[tuple[str, str], int] = {}
        """Where among the warnings those are that may be true of further jobs…"""
        self._more: dict[int, int] = {}
        """…and of how many."""

    def add(
        self, line: int | None, message: str, *, job_id: str | None = None, path: str | None = None, variant: str = ""
    ) -> None:
        """Something is wrong. Rows may be complained about out of their order: the first of the file are kept.

        What is wrong with many variants of one job is said of the first, and counts once.
        """
        if variant:
            if not self.first_time(f"{line}: {path}", message):
                return
            message = f"{message} (in {variant})"
        self.total += 1
        problem = self._problem(line, message, job_id, path)
        self._kept.append(problem)
        kind = _kind(problem)
        if kind in self._kinds or len(self._kinds) < 10 * MOST:
            self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if len(self._kept) > 2 * MOST:
            self._kept = self._first()

    def warn(
        self, line: int | None, message: str, *, job_id: str | None = None, path: str | None = None, variant: str = ""
    ) -> None:
        """Something may be wrong, and the job is run all the same; of many variants it is said of the first."""
        if variant:
            if not self.first_time(f"{line}: {path}", message):
                return
            message = f"{message} (in {variant})"
        self._warned += 1
        if len(self._warnings) < MOST:
            self._warnings.append(self._problem(line, message, job_id, path))

    def warn_once(self, line: int | None, message: str, *, about: str, job_id: str | None, own: bool) -> None:
        """Something may be wrong with many jobs: it is said of the first, with the number of the others.

        `about` is the path of the value in the job; where it is not the job's own, it stands in `defaults`, and others
        go without saying.
        """
        if not self.first_time(about, message):
            self.count_like(about, message)
            return
        if own and len(self._warnings) < MOST:
            self._places[about, message] = len(self._warnings)
        self.warn(line, message, job_id=job_id if own else None, path=about if own else f"defaults.{about}")

    def count_like(self, about: str, message: str, number: int = 1) -> None:
        """So many more jobs of which that could be said as well."""
        place = self._places.get((about, message))
        if place is not None:
            self._more[place] = self._more.get(place, 0) + number

    def first_time(self, path: str | None, message: str) -> bool:
        """Whether this is said for the first time; for what is true of many rows and worth one line."""
        fresh = (path, message) not in self._said
        if len(self._said) < 10 * MOST:
            self._said.add((path, message))
        return fresh

    def was_said(self, path: str | None, message: str) -> bool:
        """Whether `first_time` would be false."""
        return (path, message) in self._said

    @property
    def warnings_full(self) -> bool:
        """Whether further warnings would only be counted."""
        return self._warned >= MOST

    def count_warnings(self, number: int) -> None:
        """So many more warnings, none of which would be kept."""
        self._warned += number

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The kept warnings in the order of the file, with a last line about the others."""
        told = list(self._warnings)
        for place, number in self._more.items():
            told[place] = _counted(told[place], number)
        more = self._warned - MOST
        if more > 0:
            told.append(Problem(self.file, None, None, None, f"… and {many(more, 'more warning')}"))
        return tuple(told)

    def error(self) -> ManifestError:
        """All of it, in the order of the file."""
        shown = self._first()
        last = {_kind(problem): place for place, problem in enumerate(shown)}
        untold = self.total - len(shown)
        for kind, number in Counter(map(_kind, shown)).items():
            more = self._kinds.get(kind, number) - number
            if more > 0:
                shown[last[kind]] = _counted(shown[last[kind]], more)
                untold -= more
        return ManifestError(shown, self.total, untold)

    def _first(self) -> list[Problem]:
        """Those to be shown, as far as is known by now."""
        found = sorted(self._kept, key=lambda problem: problem.line or 0)
        if self.total <= MOST:
            return found
        seen: Counter[tuple[str | None, str]] = Counter()
        kept = []
        for problem in found:
            seen[_kind(problem)] += 1
            if seen[_kind(problem)] <= _ALIKE:
                kept.append(problem)
        return kept[:MOST]

    def _problem(self, line: int | None, message: str, job_id: str | None, path: str | None) -> Problem:
        return Problem(
            self.file, line, plain(job_id, 130) if job_id else None, plain(path, 200) if path else None, message
        )


def _kind(problem: Problem) -> tuple[str | None, str]:
    return problem.path, problem.message


def _counted(one: Problem, more: int) -> Problem:
    message = f"{one.message} (and {many(more, 'more job')} like it)"
    return Problem(one.file, one.line, one.job_id, one.path, message)
