"""CSV: a header, then one job a row; bare columns find their place and cells their type through the catalog."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.catalog import (
    MISSING,
    Catalog,
    Field,
    UnknownColumnError,
    did_you_mean,
    nearest,
    plain,
    shown,
    typed_text,
)
from pipeline.manifest.rows import BrokenFileError, Problems, Row
from pipeline.manifest.source import LONGEST_LINE, text_lines

OWN = ("id", "model", "output")
MOST_COLUMNS = 1000
"""More than all fields of all models; each name that is not known costs a search for the nearest."""
SECTIONS = ("input", "parameters", "metadata")


def read_rows(stream: BinaryIO, problems: Problems, catalog: Catalog, default_model: str) -> Iterator[Row]:
    """The jobs in the order of the file, cells typed. Raises `BrokenFileError`.

    The delimiter is the comma. A quoted cell may hold line breaks; a row's line is its first.
    """
    records = _records(stream)
    line, header = next(records, (1, []))
    if not header:
        return
    columns = _Columns(header, line, problems, catalog, default_model)
    if not columns.sound:
        return
    for line, cells in records:
        if len(cells) == len(header):
            yield columns.row(line, cells)
        else:
            message = f"the row has {_count(len(cells))}, the header has {len(header)}{_ragged(cells, header)}"
            problems.add(line, message, job_id=columns.id_in(cells))


def _count(cells: int) -> str:
    return f"{cells} cell" if cells == 1 else f"{cells} cells"


def _ragged(cells: Sequence[str], header: Sequence[str]) -> str:
    if len(cells) > len(header):
        return "; a text with commas must stand in double quotes"
    return "; write a comma for each cell that stays empty"


def _records(stream: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the number of its first line."""
    # The module's limit is one for the whole process and too small for a media value in a cell.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    reader = csv.reader((line for _, line in text_lines(stream)), strict=True)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            raise _broken(first, reader.line_num, str(exc)) from exc
        if any(cell.strip() for cell in cells) or len(cells) > 1:
            yield first, cells


def _broken(first: int, last: int, reason: str) -> BrokenFileError:
    if "unexpected end" in reason or "field limit" in reason:
        return BrokenFileError(first, "a quoted cell of the row that begins here never ends; close its double quote")
    if "new-line" in reason:
        return BrokenFileError(
            last, "the lines end with a bare carriage return; save the file with LF or CRLF line ends"
        )
    if "expected after" in reason:
        return BrokenFileError(last, 'text follows a closing double quote; write "" for a quote inside a quoted cell')
    return BrokenFileError(last, f"is not valid CSV: {plain(reason)}")


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a column's cells go for one model."""

    path: str
    field: Field | None = None
    """Gives the cells their type; texts where there is none."""
    complaint: str | None = None
    """Why a cell of this column cannot be given."""


class _Columns:
    """The header, checked: where each cell goes, for every model that the rows name."""

    def __init__(
        self, header: Sequence[str], line: int, problems: Problems, catalog: Catalog, default_model: str
    ) -> None:
        self._names = [name.strip() for name in header]
        self._line = line
        self._problems = problems
        self._catalog = catalog
        self._default_model = default_model
        self._resolved: dict[str, list[_Target]] = {}
        before = problems.total
        self._check()
        self.sound = problems.total == before

    def id_in(self, cells: Sequence[str]) -> str | None:
        """The id in a row that need not be whole."""
        if "id" not in self._names or self._names.index("id") >= len(cells):
            return None
        return cells[self._names.index("id")].strip() or None

    def row(self, line: int, cells: Sequence[str]) -> Row:
        """The values of a row; an empty cell is "not given"."""
        values: dict[str, Any] = {}
        given = [(place, self._trimmed(place, cell)) for place, cell in enumerate(cells) if cell.strip()]
        model = next((cell for place, cell in given if self._names[place] == "model"), self._default_model)
        job_id = self.id_in(cells)
        targets = self._targets(model)
        before = self._problems.total
        for place, cell in given:
            target = targets[place]
            if target.complaint is None:
                self._put(values, target.path, self._typed(target.field, cell), line, job_id)
            elif self._problems.first_time(target.path, target.complaint):
                message = f"{target.complaint} (first used in line {line})"
                self._problems.add(self._line, message, path=f"column {target.path}")
        sound = self._problems.total == before and all(targets[place].complaint is None for place, _ in given)
        return Row(line, values, sound=sound)

    def _trimmed(self, place: int, cell: str) -> str:
        return cell.strip() if self._names[place] in OWN else cell

    def _typed(self, described: Field | None, cell: str) -> Any:
        value = typed_text(described, cell) if described else cell
        return cell if value is MISSING else value

    def _put(self, values: dict[str, Any], path: str, value: Any, line: int, job_id: str | None) -> None:
        *outer, name = path.split(".")
        inside = values
        for part in outer:
            inside = inside.setdefault(part, {})
            if not isinstance(inside, dict):
                break
        if not isinstance(inside, dict) or name in inside:
            self._problems.add(
                line, "two columns give this field; leave one of the cells empty", job_id=job_id, path=path
            )
        else:
            inside[name] = value

    def _targets(self, model: str) -> list[_Target]:
        """Where each column goes for this model."""
        if model not in self._resolved:
            if len(self._resolved) >= 1000:
                self._resolved.clear()  # only a file full of unknown models gets here; memory stays bounded
            self._resolved[model] = [self._target(name, model) for name in self._names]
        return self._resolved[model]

    def _target(self, name: str, model: str) -> _Target:
        if name in OWN:
            return _Target(name)
        if "." in name:
            return _Target(name, self._catalog.field(model, name))
        if not self._catalog.entries_of(model):
            # The model itself is the problem, and is reported as such.
            return _Target(self._catalog.resolve_column(name))
        try:
            path = self._catalog.resolve_column(name, model)
        except UnknownColumnError as exc:
            return _Target(name, complaint=str(exc))
        return _Target(path, self._catalog.field(model, path))

    def _check(self) -> None:
        if len(self._names) == 1 and (other := next((mark for mark in ";\t|" if mark in self._names[0]), None)):
            what = "tabs" if other == "\t" else f"{other!r}"
            self._problems.add(
                self._line, f"the header has {what} and no comma; save the file with commas between the cells"
            )
            return
        if len(self._names) > MOST_COLUMNS:
            count = len(self._names)
            self._problems.add(self._line, f"the header has {count} columns; the most is {MOST_COLUMNS}")
            return
        for place, name in enumerate(self._names):
            if message := self._complaint(place, name):
                self._problems.add(self._line, message, path=f"column {name}" if name else None)

    def _complaint(self, place: int, name: str) -> str | None:
        if not name:
            return f"column {place + 1} of the header has no name; name it or remove it"
        if name in self._names[:place]:
            return f"the header names it twice (columns {self._names.index(name) + 1} and {place + 1}); keep one"
        if name in OWN:
            return None
        if "." in name:
            return _dotted_complaint(name)
        try:
            self._catalog.resolve_column(name)
        except UnknownColumnError as exc:
            own = nearest(name, OWN)
            if name in SECTIONS:
                return f"is a group of fields; write {name}.<field>, such as {_SUCH_AS[name]}"
            return (
                f"there is no such column; did you mean {own}?"
                if own
                else f"{exc}; metadata.{plain(name)} carries it along"
            )
        return None


_SUCH_AS = {"input": "input.prompt", "parameters": "parameters.seed", "metadata": "metadata.shot"}


def _dotted_complaint(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] not in SECTIONS:
        return f"a dotted column begins with input, parameters or metadata{did_you_mean(parts[0], SECTIONS)}"
    if not all(parts):
        return f"{shown(name)} has an empty part; write it as {_SUCH_AS[parts[0]]}"
    if any(part.isdigit() for part in parts[1:]):
        return f"a list is one cell with JSON: name the column {'.'.join(parts[:2])}"
    return None
