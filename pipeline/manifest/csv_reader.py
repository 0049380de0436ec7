"""CSV: a header, then one job a row; bare columns find their place and cells their type through the catalog."""

import csv
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, islice
from typing import Any, BinaryIO

from msgspec import Struct

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
from pipeline.manifest.block import SECTIONS, Table
from pipeline.manifest.rows import BrokenFileError, Problems, Row
from pipeline.manifest.source import LONGEST_LINE, SAVE_AS_UTF8, text_blocks

OWN = ("id", "model", "output")
_SAVE = f'{SAVE_AS_UTF8} (in Excel as "CSV UTF-8")'
MOST_COLUMNS = 1000
"""More than all fields of all models; each name that is not known costs a search for the nearest."""


def read_blocks(stream: BinaryIO, problems: Problems, catalog: Catalog, default_model: str) -> Iterator["CsvBlock"]:
    """The jobs in the order of the file. Raises `BrokenFileError`.

    The delimiter is the comma. A quoted cell may hold line breaks; a row's line is its first.
    """
    blocks = _records(stream)
    header = next((found for found in blocks if found[1]), None)
    if header is None:
        return
    (line, *lines), (names, *records) = header
    columns = Columns(names, line, problems, catalog, default_model)
    if not columns.sound:
        return
    if records:
        yield CsvBlock(columns, lines, records)
    for numbers, more in blocks:
        yield CsvBlock(columns, numbers, more)


class CsvBlock(Struct, frozen=True):
    """Rows of cells below one header."""

    columns: "Columns"
    lines: Sequence[int]
    records: Sequence[list[str]]

    @property
    def header(self) -> Sequence[str]:
        """The names of the columns."""
        return self.columns.names

    def between(self, start: int, end: int) -> "CsvBlock":
        """Some of the rows."""
        return CsvBlock(self.columns, self.lines[start:end], self.records[start:end])

    def table(self) -> Table | None:
        """The rows side by side; None where one is ragged, or where their models give the columns different places."""
        width = len(self.columns.names)
        if set(map(len, self.records)) != {width}:
            return None
        cells = list(zip(*self.records, strict=True))
        paths = self.columns.paths(cells)
        if paths is None:
            return None
        given = {path: column for path, column in zip(paths, cells, strict=True) if any(column)}
        return Table(_forms(cells), given)

    def row(self) -> Row | None:
        """The first row, its cells typed."""
        return self.columns.row(self.lines[0], self.records[0])


def _forms(cells: Sequence[Sequence[str]]) -> Sequence[str]:
    """For each row, which cells it has."""
    if all(map(all, cells)):
        return [repr((True,) * len(cells))] * len(cells[0])
    told = list(zip(*(map(bool, column) for column in cells), strict=True))
    texts = {form: repr(form) for form in set(told)}
    return list(map(texts.__getitem__, told))


def _count(cells: int) -> str:
    return f"{cells} cell" if cells == 1 else f"{cells} cells"


def _ragged(cells: Sequence[str], header: Sequence[str]) -> str:
    if len(cells) > len(header):
        return "; a text with commas must stand in double quotes"
    return "; write a comma for each cell that stays empty"


def _records(stream: BinaryIO) -> Iterator[tuple[Sequence[int], list[list[str]]]]:
    """The records that are not blank, some hundred at a time, with the number of the first line of each."""
    # The module's limit is one for the whole process and too small for a media value in a cell.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    feed = _Feed(stream)
    reader = csv.reader(feed, strict=True)
    while not feed.ended:
        before = reader.line_num
        records: list[list[str]] = []
        broken = None
        try:
            for cells in reader:
                records.append(cells)
                if feed.turned:
                    records.extend(islice(reader, feed.plain))
                    break
            else:
                feed.ended = True
        except csv.Error as exc:
            first = before + 1 + sum(map(_lines_in, records))
            broken = _broken(first, reader.line_num, str(exc))
            broken.__cause__ = exc
        except BrokenFileError as found:
            broken = found
        feed.turned = False
        numbers = _first_lines(before, reader.line_num, records)
        yield _without_blank(numbers, records)
        if broken:
            raise broken


class _Feed:
    """The lines of the file for the CSV reader; `turned` says that the bytes taken up before are used up."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.turned = self.ended = False
        self.plain = 0
        """Lines after the first one taken up, each of which is a record for sure: none of them has a quote."""

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._taken_up())

    def _taken_up(self) -> Iterator[list[str]]:
        for _, lines in text_blocks(self._stream, _SAVE):
            self.turned = True
            self.plain = 0 if '"' in "".join(lines) else len(lines) - 1
            yield lines


def _first_lines(before: int, last: int, records: Sequence[Sequence[str]]) -> Sequence[int]:
    if last - before == len(records):
        return range(before + 1, last + 1)
    starts = accumulate(map(_lines_in, records), initial=before + 1)
    return list(islice(starts, len(records)))


def _lines_in(cells: Sequence[str]) -> int:
    """How many lines a record takes: line breaks stand in quoted cells only."""
    return 1 + sum(cell.count("\n") for cell in cells)


def _without_blank(numbers: Sequence[int], records: list[list[str]]) -> tuple[Sequence[int], list[list[str]]]:
    """A line without anything in it is no record; a line of nothing but commas is one without values."""
    if not records or min(map(len, records)) > 1:
        return numbers, records
    kept = [place for place, cells in enumerate(records) if len(cells) > 1 or any(map(str.strip, cells))]
    return [numbers[place] for place in kept], [records[place] for place in kept]


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


class _Target(Struct, frozen=True):
    """Where a column's cells go for one model."""

    path: str
    field: Field | None = None
    """Gives the cells their type; texts where there is none."""
    complaint: str | None = None
    """Why a cell of this column cannot be given."""


class Columns:
    """The header, checked: where each cell goes, for every model that the rows name."""

    def __init__(
        self, header: Sequence[str], line: int, problems: Problems, catalog: Catalog, default_model: str
    ) -> None:
        self.names = [name.strip() for name in header]
        self._line = line
        self._problems = problems
        self._catalog = catalog
        self._default_model = default_model
        self._resolved: dict[str, list[_Target]] = {}
        before = problems.total
        self._check()
        self.sound = problems.total == before

    def paths(self, cells: Sequence[Sequence[str]]) -> Sequence[str] | None:
        """Where the columns go in rows that lie side by side; None where that is not the same and plain for all."""
        models = set(cells[self.names.index("model")]) if "model" in self.names else {""}
        found = {self._plain_paths(model.strip() or self._default_model) for model in models}
        return found.pop() if len(found) == 1 else None

    def row(self, line: int, cells: Sequence[str]) -> Row | None:
        """The values of a row; an empty cell is "not given". None where it is ragged, which is reported."""
        if len(cells) != len(self.names):
            message = f"the row has {_count(len(cells))}, the header has {len(self.names)}{_ragged(cells, self.names)}"
            self._problems.add(line, message, job_id=self._id_in(cells))
            return None
        values: dict[str, Any] = {}
        given = [(place, self._trimmed(place, cell)) for place, cell in enumerate(cells) if cell.strip()]
        model = next((cell for place, cell in given if self.names[place] == "model"), self._default_model)
        job_id = self._id_in(cells)
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

    def _id_in(self, cells: Sequence[str]) -> str | None:
        """The id in a row that need not be whole."""
        if "id" not in self.names or self.names.index("id") >= len(cells):
            return None
        return cells[self.names.index("id")].strip() or None

    def _plain_paths(self, model: str) -> tuple[str, ...] | None:
        """Where the columns go for a model; None where two go to one place, or one deeper than below a section."""
        paths = tuple(target.path for target in self._targets(model))
        plain_ones = len(set(paths)) == len(paths) and all(path.count(".") <= 1 for path in paths)
        return paths if plain_ones else None

    def _trimmed(self, place: int, cell: str) -> str:
        return cell.strip() if self.names[place] in OWN else cell

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
            self._resolved[model] = [self._target(name, model) for name in self.names]
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
        if len(self.names) == 1 and (other := next((mark for mark in ";\t|" if mark in self.names[0]), None)):
            what = "tabs" if other == "\t" else f"{other!r}"
            self._problems.add(
                self._line, f"the header has {what} and no comma; save the file with commas between the cells"
            )
            return
        if len(self.names) > MOST_COLUMNS:
            count = len(self.names)
            self._problems.add(self._line, f"the header has {count} columns; the most is {MOST_COLUMNS}")
            return
        found = [(name, self._complaint(place, name)) for place, name in enumerate(self.names)]
        if _is_no_header(found):
            self._problems.add(self._line, _NO_HEADER)
            return
        for name, message in found:
            if message:
                self._problems.add(self._line, message, path=f"column {name}" if name else None)

    def _complaint(self, place: int, name: str) -> str | None:
        if not name:
            return f"column {place + 1} of the header has no name; name it or remove it"
        if name in self.names[:place]:
            return f"the header names it twice (columns {self.names.index(name) + 1} and {place + 1}); keep one"
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
            if own:
                return f"there is no such column{_MEANT}{own}?"
            carried = f"metadata.{plain(name)} carries it along"
            return f"{exc} (or {carried})" if str(exc).endswith("?") else f"{exc}; {carried}"
        return None


_SUCH_AS = {"input": "input.prompt", "parameters": "parameters.seed", "metadata": "metadata.shot"}


_NO_HEADER = (
    "the first line must be the header, with the names of the columns, such as id,image_url,prompt; "
    "no name in this line is known"
)
_MEANT = "; did you mean "


def _is_no_header(columns: Sequence[tuple[str, str | None]]) -> bool:
    """Whether the first line looks like a job: none of its names is known, and few are nearly so."""
    if not all(message for _, message in columns):
        return False
    near = sum(_MEANT in (message or "") or name.partition(".")[0] in SECTIONS for name, message in columns)
    return 2 * near < len(columns)


def _dotted_complaint(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] not in SECTIONS:
        return f"a dotted column begins with input, parameters or metadata{did_you_mean(parts[0], SECTIONS)}"
    if not all(parts):
        return f"{shown(name)} has an empty part; write it as {_SUCH_AS[parts[0]]}"
    if any(part.isdigit() for part in parts[1:]):
        return f"a list is one cell with JSON: name the column {'.'.join(parts[:2])}"
    return None
