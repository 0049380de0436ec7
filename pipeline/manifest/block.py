"""Rows as a reader takes them up, some hundred at a time: one by one as `Row`s, or side by side as a `Table`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Protocol, Self, TypeVar

from msgspec import Struct

from pipeline.catalog import MISSING
from pipeline.manifest.rows import Row

SECTIONS = ("input", "parameters", "metadata")
_OWN = ("id", "model", "output")
"""With the sections, what a job may have that is neither multiplied out nor filled in."""
_NOTHING: dict[str, Any] = {}
_PARTS = 8


class Block(Protocol):
    """Rows that follow one another."""

    @property
    def lines(self) -> Sequence[int]:
        """Where each row begins."""

    @property
    def header(self) -> Sequence[str]:
        """The names of the columns, where the file has such."""

    def between(self, start: int, end: int) -> Self:
        """Some of the rows."""

    def table(self) -> "Table | None":
        """The rows side by side; None where they do not have the plain form of a job."""

    def row(self) -> Row | None:
        """The first row, read with care; None where it is none and the problem has been reported."""


B = TypeVar("B", bound=Block)


class Table(Struct, frozen=True):
    """The values of some rows, column by column."""

    forms: Sequence[str]
    """For each row, which values it has: rows of equal form give the same fields."""
    columns: Mapping[str, Sequence[Any]]
    """By dotted path, a value for each row. MISSING, or an empty cell, where a row has none."""
    names: int | None = None
    """How many names of members all rows have in all; None where the values are a file's cells, texts that have yet
    to get the type of their field."""

    @property
    def has_cells(self) -> bool:
        """Whether the values are such cells."""
        return self.names is None


def parts_of(block: B) -> list[B]:
    """The block in pieces, for finding the row that is not like the others."""
    length = len(block.lines)
    step = -(-length // _PARTS)
    return [block.between(start, min(start + step, length)) for start in range(0, length, step)]


def table_of(values: Sequence[Mapping[str, Any]]) -> Table | None:
    """Job objects side by side; None where one has a member that jobs do not have, or a section that is no mapping."""
    heads = list(map(tuple, values))
    kinds = set(heads)
    if not all(name in _OWN or name in SECTIONS for head in kinds for name in head):
        return None
    forms: list[list[tuple[str, ...]]] = [heads]
    alike = len(kinds) == 1
    columns = {name: _column(values, name, kinds) for name in _OWN if any(name in head for head in kinds)}
    for section in SECTIONS:
        if not any(section in head for head in kinds):
            forms.append([()] * len(values))
            continue
        inner = _column(values, section, kinds, _NOTHING)
        if set(map(type, inner)) != {dict}:
            return None
        names = list(map(tuple, inner))
        forms.append(names)
        known = set(names)
        alike = alike and len(known) == 1
        for name in dict.fromkeys(chain.from_iterable(known)):
            columns[f"{section}.{name}"] = _column(inner, name, known)
    if alike:  # as nearly all rows of a file are: no form has to be told from another
        form = tuple(names[0] for names in forms)
        return Table([repr(form)] * len(values), columns, names=len(values) * sum(map(len, form)))
    told = list(zip(*forms, strict=True))
    texts = {form: repr(form) for form in set(told)}
    lengths = {texts[form]: sum(map(len, form)) for form in texts}
    apart = list(map(texts.__getitem__, told))
    return Table(apart, columns, names=sum(map(lengths.__getitem__, apart)))


def _column(
    rows: Sequence[Mapping[str, Any]], name: str, forms: Iterable[Collection[str]], otherwise: Any = MISSING
) -> Sequence[Any]:
    if all(name in form for form in forms):
        return list(map(itemgetter(name), rows))
    return [row.get(name, otherwise) for row in rows]


class RowBlock(Struct, frozen=True):
    """Rows that have been read with care already."""

    rows: Sequence[Row]
    header: Sequence[str] = ()

    @property
    def lines(self) -> Sequence[int]:
        """Where each row begins."""
        return [row.line for row in self.rows]

    def between(self, start: int, end: int) -> "RowBlock":
        """Some of the rows."""
        return RowBlock(self.rows[start:end])

    def table(self) -> Table | None:
        """The rows side by side; None where one is not sound, or not in the plain form of a job."""
        return table_of([row.values for row in self.rows]) if all(row.sound for row in self.rows) else None

    def row(self) -> Row:
        """The first row."""
        return self.rows[0]
