"""A job's `matrix`: every combination of the listed values, less `exclude`, plus `include`.

The words mean what they mean in the matrix of a GitHub Actions workflow
(https://docs.github.com/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations), with one
difference: an `exclude` that cannot match anything is a mistake here, because a slip in it would be paid for.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from msgspec import Struct

from pipeline.catalog import did_you_mean, nearest, plain, shown

MOST_SHAPES = 50
"""Different sets of keys among the entries of `exclude` or `include`: each is looked up for every combination."""
MOST_KEYS = 100
"""Names in one mapping of a matrix."""
_RULES = ("exclude", "include")


class Cell(Struct, frozen=True):
    """One value of one key."""

    value: Any
    text: str
    """Canonical JSON: cells with equal texts are equal."""
    line: int
    label: str
    """`style=oil`, for messages."""


Variant = Mapping[str, Cell]
"""One combination: a cell for each key."""


class Matrix(Struct, frozen=True):
    """The keys of a matrix with their values; nothing is multiplied out before it is asked for."""

    axes: Mapping[str, Sequence[Cell]] = {}
    exclude: Sequence[Variant] = ()
    include: Sequence[Variant] = ()
    names: Mapping[str, str] = {}
    """The key that each name stands for: a dotted path of the job, or a variable that only templates know."""

    @property
    def most(self) -> int:
        """No matrix has more variants than this."""
        return (math.prod(len(cells) for cells in self.axes.values()) if self.axes else 0) + len(self.include)

    @property
    def cells(self) -> Iterator[tuple[str, Cell]]:
        """Every value with its key, in no order that means anything."""
        yield from ((key, cell) for key, cells in self.axes.items() for cell in cells)
        yield from (pair for entry in self.include for pair in entry.items())

    def variants(self) -> Iterator[Variant]:
        """The combinations in the order of their keys, the last changing fastest, then those of `include` alone.

        An entry of `include` is added to every combination whose listed values it agrees with, and makes a
        combination of its own where there is none; it may replace what an earlier entry added.
        """
        excluded, included = _Agreeing(self.exclude, self.axes), _Agreeing(self.include, self.axes)
        added = [{key: cell for key, cell in entry.items() if key not in self.axes} for entry in self.include]
        found: set[int] = set()
        for cells in product(*self.axes.values()) if self.axes else ():
            variant = dict(zip(self.axes, cells, strict=True))
            if excluded.places(variant):
                continue
            for place in included.places(variant):
                found.add(place)
                variant |= added[place]
            yield variant
        yield from (entry for place, entry in enumerate(self.include) if place not in found)


class _Agreeing:
    """Finds the entries that agree with a combination in every key that both have, without asking each."""

    def __init__(self, entries: Sequence[Variant], axes: Mapping[str, Any]) -> None:
        self._groups: dict[tuple[str, ...], dict[tuple[str, ...], list[int]]] = {}
        for place, entry in enumerate(entries):
            keys = tuple(key for key in axes if key in entry)
            texts = tuple(entry[key].text for key in keys)
            self._groups.setdefault(keys, {}).setdefault(texts, []).append(place)

    def places(self, variant: Variant) -> list[int]:
        """Their places in the order in which they were written."""
        found: list[int] = []
        for keys, entries in self._groups.items():
            found += entries.get(tuple(variant[key].text for key in keys), ())
        return sorted(found)


class MatrixReader:
    """Reads one `matrix`, and says all that is wrong with it."""

    def __init__(
        self, resolve: Callable[[str], str], complain: Callable[[str, str], None], line: Callable[[str], int]
    ) -> None:
        """`resolve` gives the key of a name or raises `ValueError`; `complain` takes a path and a sentence."""
        self._resolve = resolve
        self._complain_to = complain
        self._line = line
        self._names: dict[str, str] = {}
        self._sound = True

    def read(self, raw: Any) -> Matrix | None:
        """The matrix, or None where something was wrong."""
        if not isinstance(raw, Mapping) or not raw:
            empty = "is empty; write names with lists of values, such as {seed: [1, 2]}"
            self._complain("matrix", empty if raw == {} else f"must be a mapping of names to lists, not {shown(raw)}")
            return None
        axes = self._axes({name: values for name, values in raw.items() if name not in _RULES})
        exclude, include = (self._entries(name, raw.get(name)) for name in _RULES)
        if self._sound:
            self._check_exclude(raw.get("exclude") or [], exclude, axes)
        return Matrix(axes, exclude, include, self._names) if self._sound else None

    def _axes(self, raw: Mapping[str, Any]) -> dict[str, list[Cell]]:
        axes = {}
        for name, key in self._keys(raw, "matrix").items():
            path, values = f"matrix.{name}", raw[name]
            if isinstance(values, list) and values:
                axes[key] = [self._cell(name, value, f"{path}.{place}") for place, value in enumerate(values)]
                self._check_distinct(axes[key], path)
            else:
                found = "is empty" if values == [] else f"must be a list of values, not {shown(values)}"
                self._complain(path, f"{found}; write them in brackets: [{_such(values)}]")
        return axes

    def _entries(self, rule: str, raw: Any) -> list[dict[str, Cell]]:
        path = f"matrix.{rule}"
        if raw is None:
            return []
        if not isinstance(raw, list):
            self._complain(path, f"must be a list of mappings such as `- {{style: oil}}`, not {shown(raw)}")
            return []
        entries = []
        for place, entry in enumerate(raw):
            where = f"{path}.{place}"
            if isinstance(entry, Mapping) and entry:
                keys = self._keys(entry, where)
                entries.append({key: self._cell(name, entry[name], f"{where}.{name}") for name, key in keys.items()})
            else:
                self._complain(where, f"must be a mapping such as {{style: oil}}, not {shown(entry)}")
        if len({frozenset(entry) for entry in entries}) > MOST_SHAPES:
            self._complain(path, f"names more than {MOST_SHAPES} different sets of keys; split the job")
        return entries

    def _keys(self, raw: Mapping[str, Any], path: str) -> dict[str, str]:
        """The key of every name; two names of one mapping must not mean the same field, or one inside another."""
        keys: dict[str, str] = {}
        if len(raw) > MOST_KEYS:
            self._complain(path, f"has {len(raw)} names; the most is {MOST_KEYS}")
            return keys
        for name in raw:
            try:
                key = self._resolve(name)
            except ValueError as error:
                self._complain(f"{path}.{name}", str(error))
                continue
            if other := next((one for one, known in keys.items() if _overlap(known, key)), None):
                self._complain(f"{path}.{name}", f"gives a field that {plain(other)} gives too; keep one")
            keys[name] = self._names[name] = key
        return keys

    def _check_distinct(self, cells: Sequence[Cell], path: str) -> None:
        seen: set[str] = set()
        for place, cell in enumerate(cells):
            if cell.text in seen:
                self._complain(f"{path}.{place}", f"{shown(cell.value)} is listed twice; keep one")
            seen.add(cell.text)

    def _check_exclude(self, raw: Any, entries: Sequence[Variant], axes: Mapping[str, Sequence[Cell]]) -> None:
        listed = {key: {cell.text for cell in cells} for key, cells in axes.items()}
        for place, (written, entry) in enumerate(zip(raw, entries, strict=True)):
            for name in written:
                key, path = self._names[name], f"matrix.exclude.{place}.{name}"
                if key not in axes:
                    lists = [one for one, known in self._names.items() if known in axes]
                    last = (f"; did you mean {one}?" for one in lists if one.endswith(f".{name}"))
                    self._complain(path, f"the matrix has no such list{next(last, did_you_mean(name, lists))}")
                elif entry[key].text not in listed[key]:
                    hint = _near_value(entry[key].value, axes[key][:MOST_KEYS])
                    self._complain(path, f"{shown(entry[key].value)} is none of the listed values{hint}")

    def _cell(self, name: str, value: Any, path: str) -> Cell:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        label = value if isinstance(value, str) else text
        return Cell(value, text, self._line(path), f"{plain(name, 30)}={plain(label, 30)}")

    def _complain(self, path: str, message: str) -> None:
        self._sound = False
        self._complain_to(path, message)


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _near_value(value: Any, cells: Sequence[Cell]) -> str:
    texts = [one.value for one in cells if isinstance(one.value, str)]
    near = nearest(value, texts) if isinstance(value, str) else None
    return f"; did you mean {plain(near)}?" if near else ""


def _such(value: Any) -> str:
    simple = isinstance(value, str | int | float) and not isinstance(value, bool)
    return plain(str(value), 30) if simple else "a, b"
