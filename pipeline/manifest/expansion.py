"""One row made the rows it stands for: `matrix` and `repeat` multiplied out, `{name}` filled in.

It stands between the readers and the building of jobs. What it hands on has nothing left to expand but the `output`,
whose `{id}` is known only when the job is built.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pipeline.catalog import Catalog, UnknownColumnError, nearest, plain, shown
from pipeline.core.patterns import pattern
from pipeline.manifest.filling import SEED, TAKE, Filling
from pipeline.manifest.matrix import Matrix, MatrixReader, Variant
from pipeline.manifest.plain import has_brace, is_plain
from pipeline.manifest.rows import BrokenFileError, Problems, Row
from pipeline.manifest.seeds import Seeds, seeds_of
from pipeline.manifest.templates import SECTIONS, field_names
from pipeline.manifest.values import (
    DEEPEST,
    MOST_REPEATED_NODES,
    MOST_REPEATED_TEXT,
    TOO_MUCH,
    is_deeper,
    merged,
    texts_in,
    weight,
    with_value,
)

MOST_JOBS = 10_000_000
"""Jobs that the sweeps of one manifest may make."""

_FREE_NODES, _FREE_TEXT = 100, 1000
"""Values and characters that a sweep may give to each of any number of jobs."""
_SWEEP_KEYS = ("matrix", "repeat")
_WORD = pattern(r"[^\W\d][\w-]*")
_TAKEN = ("id", "line", TAKE, *_SWEEP_KEYS, *SECTIONS)
"""Names that no variable can have, because they mean something else in a job or in a template."""


class _Sweep(Struct, frozen=True):
    """What one row asks for."""

    base: Row
    """Without `matrix` and `repeat`."""
    matrix: Matrix | None
    repeat: int | None
    aliases: Mapping[str, str]
    """The fields that the matrix gives, by the names that it calls them."""

    @property
    def most(self) -> int:
        """No more jobs than this come of it; none are counted where the row is only filled in."""
        if self.matrix is None:
            return self.repeat or 0
        return self.matrix.most * (self.repeat or 1)

    @property
    def variants(self) -> Iterable[Variant]:
        return [{}] if self.matrix is None else self.matrix.variants()


class Expander:
    """Expands the rows of one manifest."""

    def __init__(
        self,
        defaults: Row | None,
        catalog: Catalog,
        problems: Problems,
        default_model: str,
        columns: Iterable[str] = (),
    ) -> None:
        """`columns` are the names in a CSV file's header: a template may name one whose cell is empty."""
        self._defaults = defaults or Row(0, {})
        self._usable = {name: value for name, value in self._defaults.values.items() if _has_shape(name, value)}
        self._always = has_brace(self._usable.get("input"))
        self._catalog = catalog
        self._problems = problems
        self._default_model = default_model
        self._columns = frozenset(name.partition(".")[2] or name for name in columns)
        self._jobs = self._nodes = self._text = 0

    def rows(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows in their order, each replaced by those that it stands for. Raises `BrokenFileError`."""
        for row in rows:
            if not self._always and is_plain(row.values):
                yield row
            else:
                yield from self.expanded(row)

    def expanded(self, row: Row) -> Iterator[Row]:
        """What one row stands for, drawn one by one. Raises `BrokenFileError` where it comes to too much."""
        sweep = self._sweep(row)
        if sweep is None:
            return
        variant = None
        for variant in sweep.variants:
            yield from self._takes(sweep, variant)
        if variant is None:
            self._add(row, "matrix", "leaves no job; give lists of values, and exclude less of them")

    def _sweep(self, row: Row) -> _Sweep | None:
        """What the row asks for; None where something is wrong with it, which is reported."""
        before = self._problems.total
        for name, value in row.values.items():
            if is_deeper(value, DEEPEST):
                self._add(row, name, f"is nested deeper than {DEEPEST} levels; no job needs that")
                return None
        repeat = row.values.get("repeat")
        if repeat is not None and (not _is_whole(repeat) or repeat < 1):
            self._add(row, "repeat", f"must be a whole number of jobs, such as 4, not {shown(repeat)}")
        base = _without_sweep(row)
        matrix = self._matrix(row, base)
        if self._problems.total > before:
            return None
        sweep = _Sweep(base, matrix, repeat, _aliases(matrix))
        self._check(sweep, row)
        return sweep if self._problems.total == before else None

    def _check(self, sweep: _Sweep, row: Row) -> None:
        self._jobs += sweep.most
        if self._jobs > MOST_JOBS:
            most = f"the sweeps of one manifest may make {MOST_JOBS // 10**6} million in all"
            self._add(row, "matrix" if sweep.matrix else "repeat", f"makes {sweep.most} jobs; {most}")
            self._jobs -= sweep.most
        if sweep.matrix and sweep.repeat and SEED in sweep.matrix.names.values():
            self._add(row, "repeat", "the matrix gives the seeds already; leave `repeat` out")

    def _matrix(self, row: Row, base: Row) -> Matrix | None:
        raw = row.values.get("matrix")
        if raw is None:
            return None
        names = _Names(self._catalog, self._models(base, raw))
        matrix = MatrixReader(names.key, lambda path, text: self._add(row, path, text), row.line_of).read(raw)
        for name in self._unused(base, matrix) if matrix else ():
            message = f"no template uses {{{name}}}, and the model has no such field{names.near(name)}"
            self._add(row, f"matrix.{name}", message)
        return matrix

    def _models(self, base: Row, raw: Any) -> list[str]:
        """Every model that a variant may have."""
        given = raw if isinstance(raw, Mapping) else {}
        listed_models, include = given.get("model"), given.get("include")
        if not isinstance(listed_models, list):
            listed_models = [base.values.get("model") or self._usable.get("model") or self._default_model]
        entries = [one for one in include if isinstance(one, Mapping)] if isinstance(include, list) else []
        models = [*listed_models, *(entry.get("model") for entry in entries)]
        return [model for model in models if isinstance(model, str)]

    def _unused(self, base: Row, matrix: Matrix) -> Iterator[str]:
        """Variables that make no difference: no template has them, and `include` does not go by them."""
        request = merged(self._usable, base.values)
        texts = [request.get("id"), request.get("output"), request.get("input")]
        texts += [cell.value for key, cell in matrix.cells if _is_field(key)]
        used = {name for text in texts_in(texts) for name in field_names(text)}
        used |= {key for entry in matrix.include for key in entry if key in matrix.axes}
        yield from (name for name, key in matrix.names.items() if not _is_field(key) and key not in used)

    def _takes(self, sweep: _Sweep, variant: Variant) -> Iterator[Row]:
        """The rows of one variant: one, or as many as `repeat` says."""
        values, lines = sweep.base.values, dict(sweep.base.lines)
        for key, cell in variant.items():
            if _is_field(key):
                values, lines[key] = with_value(values, key, cell.value), cell.line
        label = ", ".join(cell.label for cell in variant.values())
        own = {key: cell.value for key, cell in variant.items() if not _is_field(key)}
        if sweep.repeat is None:
            yield self._filled(replace(sweep.base, values=values, lines=lines, variant=label), sweep, own, variant)
            return
        seeds = self._seeds(values, variant)
        if seeds and seeds.distinct < sweep.repeat:
            self._add(sweep.base, "repeat", f"the model has no more than {seeds.distinct} seeds")
            return
        for take in range(1, sweep.repeat + 1):
            taken = with_value(values, SEED, seeds.of(take)) if seeds else values
            name = f"{label}, {TAKE} {take}" if label else f"{TAKE} {take}"
            row = replace(sweep.base, values=taken, lines=lines, variant=name)
            yield self._filled(row, sweep, {**own, TAKE: take}, variant)

    def _seeds(self, values: Mapping[str, Any], variant: Variant) -> Seeds | None:
        request = self._request(values)
        entry = self._catalog.entry_for(request["model"], request)
        variables = {key: cell.text for key, cell in variant.items() if not _is_field(key)}
        return seeds_of(request, entry.field_at(SEED) if entry else None, variables)

    def _filled(self, row: Row, sweep: _Sweep, own: Mapping[str, Any], variant: Variant) -> Row:
        filling = Filling(
            row,
            self._request(row.values),
            own,
            sweep.aliases,
            self._problems,
            defaults=self._defaults,
            columns=self._columns,
            strict=sweep.matrix is not None,
        )
        texts = {key: cell.text for key, cell in variant.items()}
        listed = {key: texts.pop(key) for key in (sweep.matrix.axes if sweep.matrix else ()) if key in texts}
        made = filling.made(listed, texts)
        if sweep.most:
            self._charge(made)
        return made

    def _request(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values over the defaults, with a model and with every section there."""
        request = merged(self._usable, {name: value for name, value in values.items() if value is not None})
        sections = {name: request[name] if isinstance(request.get(name), dict) else {} for name in SECTIONS}
        model = request.get("model")
        return {**request, **sections, "model": model if isinstance(model, str) else self._default_model}

    def _charge(self, row: Row) -> None:
        nodes, text = weight(row.values)
        self._nodes += max(0, nodes - _FREE_NODES)
        self._text += max(0, text - _FREE_TEXT)
        if self._nodes > MOST_REPEATED_NODES or self._text > MOST_REPEATED_TEXT:
            raise BrokenFileError(row.line, f"what `matrix` and `repeat` give to the jobs comes to {TOO_MUCH}")

    def _add(self, row: Row, path: str, message: str) -> None:
        job_id = row.values.get("id")
        self._problems.add(row.line_of(path), message, job_id=job_id if isinstance(job_id, str) else None, path=path)


class _Names:
    """What the names of one matrix mean, given the models that its variants have."""

    def __init__(self, catalog: Catalog, models: Sequence[str]) -> None:
        self._catalog = catalog
        self._models = models
        self._known = [model for model in models if catalog.entries_of(model)]

    def key(self, name: str) -> str:
        """The dotted path of a field, or the name itself where it is a variable. Raises `ValueError`."""
        if name in ("model", "output"):
            return name
        if name == "id":
            raise ValueError("ids are derived from the values; write a template beside it, such as id: shot-{seed}")
        if "." in name:
            return _checked_path(name)
        places = self._places(name)
        if len(places) > 1:
            raise ValueError(f"the name is ambiguous; write {' or '.join(places)}")
        if places:
            return places[0]
        if name in _TAKEN:
            raise ValueError(f"the name has a meaning of its own; for a field of the job write {name}.<field>")
        if not _WORD.fullmatch(name):
            raise ValueError("is no name; letters, digits, _ and - make one, a letter first")
        return name

    def near(self, name: str) -> str:
        """The field that was probably meant."""
        entries = [entry for model in self._known for entry in self._catalog.entries_of(model)]
        near = nearest(name, {path.split(".")[1] for entry in entries for path in entry.fields})
        return f"; did you mean {near}?" if near else ""

    def _places(self, name: str) -> list[str]:
        paths = (f"{section}.{name}" for section in ("input", "parameters"))
        if self._known:
            return [path for path in paths if any(self._catalog.field(model, path) for model in self._known)]
        try:
            return [self._catalog.resolve_column(name)]  # the model is the problem, and is reported as such
        except UnknownColumnError:
            return []


def _has_shape(name: str, value: Any) -> bool:
    """Whether a member of `defaults` can be used; what is wrong with the others is said elsewhere."""
    if name in SECTIONS:
        return isinstance(value, dict)
    return name in ("model", "output") and isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_field(key: str) -> bool:
    """Whether a key of a matrix goes into the job itself."""
    return "." in key or key in ("model", "output")


def _aliases(matrix: Matrix | None) -> dict[str, str]:
    names = matrix.names if matrix else {}
    return {name: key for name, key in names.items() if _is_field(key) and name != key}


def _without_sweep(row: Row) -> Row:
    values = {name: value for name, value in row.values.items() if name not in _SWEEP_KEYS}
    lines = {path: line for path, line in row.lines.items() if path.partition(".")[0] not in _SWEEP_KEYS}
    return replace(row, values=values, lines=lines)


def _checked_path(path: str) -> str:
    section, *names = path.split(".")
    if section not in SECTIONS:
        near = nearest(section, SECTIONS)
        hint = f"; did you mean {near}?" if near else ""
        raise ValueError(f"a dotted name begins with input, parameters or metadata{hint}")
    if not all(name and name.isprintable() and not set(name) & set("{}") for name in names):
        raise ValueError(f"{plain(path)} has a part that is no name; write it as {section}.<field>")
    if any(name.isdigit() for name in names):
        raise ValueError(f"a list is one value; give {section}.{names[0]} whole")
    return path
