"""Many rows judged at once: what the complete check has found of one row holds for every row like it.

Two rows are alike where they give the same fields, with the same values wherever a value decides anything: what is
left are free texts, addresses, numbers in a range and metadata, whose columns are looked at as a whole. Rows in which
anything is out of the ordinary are not judged here; the complete check has the last word on them, and all the words.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Any, cast

from msgspec import Struct

from pipeline.catalog import MISSING, Catalog, Entry
from pipeline.core.jobs import Job, Source
from pipeline.core.patterns import pattern
from pipeline.manifest.block import SECTIONS, Block, Table
from pipeline.manifest.build import DEFAULT_MODEL, LONGEST_ID, Builder, Built, canonical, digest_of, digests_of, id_for
from pipeline.manifest.media import PUBLIC_HOST
from pipeline.manifest.outputs import DEFAULT_TEMPLATE, RESERVED, OutputError, render_output
from pipeline.manifest.rows import Problems
from pipeline.manifest.templates import TemplateError, pieces
from pipeline.manifest.values import LARGEST_INT, LONGEST_TEXT, SMALLEST_INT, forbidden, text_complaint

MOST_PATTERNS = 1000
"""Kinds of rows that are remembered; a file with more has hardly two that are alike."""

_ID = pattern(
    r"(?!(?:[Cc][Oo](?:[Nn]|[Mm][1-9])|[Pp][Rr][Nn]|[Aa][Uu][Xx]|[Nn][Uu][Ll]|[Ll][Pp][Tt][1-9])(?:\.|$))"
    r"[A-Za-z0-9][A-Za-z0-9._-]*"
)
"""An id that nothing is wrong with, if it is not too long."""
_IN_IDS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_LONGEST_RESERVED = max(map(len, RESERVED))
_IN_ADDRESSES = bytes(set(range(0x21, 0x7F)) - set(b"\\{}"))
"""Printable ASCII without the backslash, and without what could be a template."""
_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\r") | {0x7F})
_WHOLE = pattern(r"0|-?[1-9][0-9]{0,17}")
"""A cell with an integer, written the one way in which JSON writes it."""
_LONGEST = LONGEST_TEXT // 4
"""Characters of a text that is short enough whatever they are."""
_SCALARS = frozenset({str, int, float, bool, type(None), type(MISSING)})
_MARK = pattern(r'"\\u0000([0-9]+)"')


class _Role(Enum):
    """What a column is to the judgement."""

    KEY = auto()
    """Its values decide something, or nothing is known of them: rows are alike only where they are equal."""
    ID = auto()
    OUTPUT = auto()
    TEXT = auto()
    ADDRESS = auto()
    """A media value that may be a URL."""
    INTEGER = auto()
    CARRIED = auto()
    """Metadata: anything that JSON can say."""


class _Place(Struct, frozen=True):
    """The role of a column and the bounds of its values: characters of texts and addresses, or numbers."""

    role: _Role
    low: float = 0
    high: float = _LONGEST


_KEY = _Place(_Role.KEY)
_OWN = {"id": _Place(_Role.ID, 1, LONGEST_ID), "output": _Place(_Role.OUTPUT)}


class Made(Struct, frozen=True):
    """What became of rows that follow one another."""

    lines: Sequence[int]
    job_ids: Sequence[str | None]
    named: Sequence[bool]
    """Whether the author gave the id."""
    outputs: Sequence[str | None] | None
    """None where each is the id with `.mp4`."""
    sound: bool
    """Nothing is wrong with any of them."""
    jobs: Sequence[Job] = ()
    """Where they are wanted."""
    variant: str = ""
    """Which one of a sweep a single row is, for messages."""


class _Pattern:
    """What rows that are alike have in common, found out by the complete check of one of them."""

    def __init__(self, built: Built, model: str, free: Sequence[str]) -> None:
        self.built = built
        self.model = model
        self.free = free
        """The paths whose values each row has of its own."""
        self.template = None if "output" in free else built.merged.get("output", DEFAULT_TEMPLATE)
        """None where each row has its own."""
        self.names = {
            section: [path.partition(".")[2] for path in free if path.startswith(f"{section}.")] for section in SECTIONS
        }

    def section(self, name: str, columns: Mapping[str, Sequence[Any]], rows: int) -> Sequence[Mapping[str, Any]]:
        """One section of each row: the values of its own in the places of the first one's."""
        common = self._common(name)
        names = self.names[name]
        if not names:
            return [common] * rows
        own = zip(*(columns[f"{name}.{one}"] for one in names), strict=True)
        return [common | dict(zip(names, values, strict=True)) for values in own]

    def digests(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Sequence[str]:
        """The digest of what each row buys, by filling its values into the canonical text of the first one."""
        text, paths = self._bought
        if not paths:
            return [digest_of(text % ())] * rows
        own = (_encoded(columns[path]) for path in paths)
        return digests_of(map(text.__mod__, zip(*own, strict=True)))

    def _common(self, name: str) -> dict[str, Any]:
        return self.built.merged.get(name) or {}

    @cached_property
    def _bought(self) -> tuple[str, list[str]]:
        """The canonical text with a place for each value of a row's own, and which value goes where."""
        paths = [path for path in self.free if path.startswith(("input.", "parameters."))]
        bought: dict[str, Any] = {"model": self.model}
        for section in ("input", "parameters"):
            marks = {name: f"\0{paths.index(f'{section}.{name}')}" for name in self.names[section]}
            bought[section] = self._common(section) | marks
        text = canonical(bought).replace("%", "%%")
        return _MARK.sub("%s", text), [paths[int(number)] for number in _MARK.findall(text)]


def _encoded(values: Sequence[str | int]) -> Sequence[str]:
    """As `canonical` writes texts and whole numbers."""
    from json.encoder import encode_basestring  # a check of rows that have ids writes none

    if set(map(type, values)) == {str}:
        return list(map(encode_basestring, cast("Sequence[str]", values)))
    return [encode_basestring(value) if isinstance(value, str) else str(value) for value in values]


class Alike:
    """Judges the rows of one reading of a manifest."""

    def __init__(self, file: str, catalog: Catalog, builder: Builder, problems: Problems, *, jobs_wanted: bool) -> None:
        self._file = file
        self._catalog = catalog
        self._builder = builder
        self._problems = problems
        self._jobs_wanted = jobs_wanted
        self._models: set[str] = set()
        """Those of the rows that were found sound."""
        self._places: dict[str, _Place] = {}
        self._patterns: dict[Hashable, _Pattern] = {}

    def made(self, block: Block) -> Made | None:
        """What became of the rows; None where the complete check has to look at them, all or some."""
        table = block.table()
        keys = self._keys(table) if table else None
        if table is None or keys is None:
            return None
        kinds = [self._patterns.get(key) for key in set(keys)]
        if not all(kind and self._has_nothing_to_say(kind) for kind in kinds):
            return None
        if not self._is_clean(table):
            return None
        patterns = list(map(self._patterns.__getitem__, keys))
        try:
            made = self._made(block.lines, table, patterns)
        except OutputError:
            return None
        if not self._builder.take(len(keys)):
            return None
        if any(kind.built.warned for kind in set(patterns)):
            self._problems.count_warnings(sum(pattern.built.warned for pattern in patterns))
        for kind in set(patterns):
            for path, message in kind.built.said:
                self._problems.count_like(path, message, patterns.count(kind))
        return made

    def learn(self, block: Block, built: Built) -> None:
        """Remember what the complete check has found of the block's only row."""
        table = block.table()
        if not built.sound or built.has_files or table is None:
            return
        model = built.merged.get("model", DEFAULT_MODEL)
        if model not in self._models:
            self._models.add(model)
            self._places.clear()
            self._patterns.clear()
        keys = self._keys(table)
        if keys is None or not self._is_clean(table):
            return
        if len(self._patterns) >= MOST_PATTERNS:
            self._patterns.clear()
        free = [path for path in table.columns if self._place(path).role is not _Role.KEY]
        self._patterns[keys[0]] = _Pattern(built, model, free)

    def _has_nothing_to_say(self, pattern: _Pattern) -> bool:
        """Whether all warnings about such rows have been given, or would only be counted."""
        said = all(self._problems.was_said(path, message) for path, message in pattern.built.said)
        return said and (not pattern.built.warned or self._problems.warnings_full)

    # -- what the columns are

    def _place(self, path: str) -> _Place:
        place = self._places.get(path)
        if place is None:
            entries = [entry for model in self._models for entry in self._catalog.entries_of(model)]
            place = self._places[path] = _OWN.get(path) or _place_of(path, entries)
        return place

    def _keys(self, table: Table) -> list[Hashable] | None:
        """For each row its form and every value that decides something; None where such a value is no scalar."""
        columns: list[Sequence[Hashable]] = [table.forms]
        for path, values in table.columns.items():
            if self._place(path).role is _Role.KEY:
                column = _comparable(values)
                if column is None:
                    return None
                columns.append(column)
        return list(zip(*columns, strict=True))

    def _is_clean(self, table: Table) -> bool:
        """Whether there is nothing to say about any value that is a row's own."""
        look = _is_clean_cells if table.has_cells else _is_clean_values
        return all(look(self._place(path), values) for path, values in table.columns.items())

    # -- what the rows become

    def _made(self, lines: Sequence[int], table: Table, patterns: Sequence[_Pattern]) -> Made:
        """Raises `OutputError` where a row has no usable output."""
        rows = len(lines)
        job_ids = _given_ids(table, rows)
        named = [True] * rows if all(job_ids) else [job_id is not None for job_id in job_ids]
        kinds = list(dict.fromkeys(patterns))
        only_ids = not self._jobs_wanted and all(kind.template == DEFAULT_TEMPLATE for kind in kinds)
        if only_ids and all(named):
            return Made(lines, job_ids, named, None, sound=True)
        outputs: list[str | None] = [None] * rows
        jobs: dict[int, Job] = {}
        for kind in kinds:
            places = range(rows) if len(kinds) == 1 else [n for n, one in enumerate(patterns) if one is kind]
            columns = self._columns(table, kind, places)
            digests = kind.digests(columns, len(places))
            for place, digest in zip(places, digests, strict=True):
                job_ids[place] = job_ids[place] or id_for(digest)
            if not only_ids:
                own = [(lines[place], job_ids[place], digest) for place, digest in zip(places, digests, strict=True)]
                jobs.update(zip(places, self._jobs(kind, columns, own), strict=True))
        if only_ids:
            return Made(lines, job_ids, named, None, sound=True)
        for place, job in jobs.items():
            outputs[place] = job.output
        return Made(lines, job_ids, named, outputs, sound=True, jobs=[jobs[place] for place in range(rows)])

    def _columns(self, table: Table, kind: _Pattern, places: Sequence[int]) -> dict[str, Sequence[Any]]:
        """The values that each row of one kind has of its own, cells with their type."""
        columns = {path: table.columns[path] for path in kind.free}
        if len(places) < len(table.forms):
            columns = {path: [values[place] for place in places] for path, values in columns.items()}
        if table.has_cells:
            numbers = [path for path in kind.free if self._place(path).role is _Role.INTEGER]
            columns.update((path, list(map(int, columns[path]))) for path in numbers)
        return columns

    def _jobs(
        self, kind: _Pattern, columns: Mapping[str, Sequence[Any]], own: Sequence[tuple[int, Any, str]]
    ) -> Iterator[Job]:
        """The jobs of rows of one kind, by line, id and digest. Raises `OutputError`."""
        rows = len(own)
        inputs, parameters, metadata = (kind.section(name, columns, rows) for name in SECTIONS)
        templates = columns.get("output") or [kind.template] * rows
        model, file = kind.model, self._file
        for (line, job_id, digest), given, chosen, carried, template in zip(
            own, inputs, parameters, metadata, templates, strict=True
        ):
            if template == DEFAULT_TEMPLATE:
                output = f"{job_id}.mp4"
            else:
                request = {"model": model, "input": given, "parameters": chosen, "metadata": carried}
                output = render_output(_unambiguous(template), job_id, line, request)
            yield Job(job_id, digest, model, given, chosen, output, Source(file, line), carried)


def _place_of(path: str, entries: Iterable[Entry]) -> _Place:
    """What a column of a section is, where its row may have any of these shapes."""
    if path.startswith("metadata."):
        return _Place(_Role.CARRIED)
    entries = list(entries)
    fields = [found for entry in entries if (found := entry.field_at(path))]
    if not fields or any(one.enum for one in fields) or any(path in entry.values_read() for entry in entries):
        return _KEY
    kinds = {(one.type, one.media is not None and "url" in one.media.forms) for one in fields}
    if kinds == {("integer", False)}:
        low = max(SMALLEST_INT if one.min is None else one.min for one in fields)
        high = min(LARGEST_INT if one.max is None else one.max for one in fields)
        return _Place(_Role.INTEGER, low, high)
    shortest = max(one.min_length or 1 for one in fields)
    longest = min(_LONGEST if one.max_length is None else one.max_length for one in fields)
    if kinds == {("string", True)}:
        return _Place(_Role.ADDRESS, shortest, longest)
    if kinds == {("string", False)} and not any(one.media for one in fields):
        return _Place(_Role.TEXT, shortest, longest)
    return _KEY


def _comparable(values: Sequence[Any]) -> Sequence[Hashable] | None:
    """The values so that none equals one of another type; None where they are no scalars."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return values
    if not kinds <= _SCALARS:
        return None
    return [value if type(value) is str else (type(value), repr(value)) for value in values]


def _is_clean_cells(place: _Place, values: Sequence[str]) -> bool:
    """The same of cells; a blank cell is one that is not given, and that is for the complete check to see."""
    if place.role is _Role.KEY:
        return True
    given = values if all(values) else list(filter(None, values))
    if any(map(str.isspace, given)):
        return False
    if place.role is _Role.INTEGER:
        return (
            all(map(_WHOLE.fullmatch, given))
            and place.low <= min(map(int, given)) <= max(map(int, given)) <= place.high
        )
    return _is_clean_text(place, given)


def _is_clean_values(place: _Place, values: Sequence[Any]) -> bool:
    """Whether nothing is to be said about the values of one column."""
    if place.role is _Role.KEY:
        return True
    kinds = set(map(type, values))
    if type(MISSING) in kinds:
        values = [value for value in values if value is not MISSING]
        kinds.remove(type(MISSING))
    if kinds == {str} and place.role is not _Role.INTEGER:
        return _is_clean_text(place, values)
    if kinds == {int} and place.role in (_Role.INTEGER, _Role.CARRIED):
        low, high = (SMALLEST_INT, LARGEST_INT) if place.role is _Role.CARRIED else (place.low, place.high)
        return bool(low <= min(values) and max(values) <= high)
    return place.role is _Role.CARRIED and all(next(forbidden(value, ""), None) is None for value in values)


def _is_clean_text(place: _Place, values: Sequence[str]) -> bool:
    lengths = list(map(len, values))
    shortest, longest = min(lengths), max(lengths)
    if shortest < place.low or longest > place.high:
        return False
    if place.role is _Role.ID:
        return _are_ids(values, shortest)
    if place.role is _Role.ADDRESS:
        return _are_addresses(values)
    joined = " ".join(values)
    if place.role is _Role.CARRIED:
        return _is_sound(joined)
    return _is_sound(joined) and "{" not in joined and "}" not in joined and not any(map(str.isspace, values))


def _are_ids(values: Sequence[str], shortest: int) -> bool:
    joined = "".join(values)
    if shortest <= _LONGEST_RESERVED or "." in joined:  # one of them may be the name of a device
        return all(map(_ID.fullmatch, values))
    in_id = joined.isascii() and not joined.encode().translate(None, _IN_IDS)
    return in_id and set(map(itemgetter(0), values)).isdisjoint("_-")


def _are_addresses(values: Sequence[str]) -> bool:
    """Whether all are sound URLs. What the first and the last in order begin with, all between them begin with."""
    first, last = min(values), max(values)
    shared = PUBLIC_HOST.match(first)
    if not (shared and last.startswith(shared[0])) and not all(map(PUBLIC_HOST.match, values)):
        return False
    joined = "".join(values)
    return joined.isascii() and not joined.encode().translate(None, _IN_ADDRESSES)


def _is_sound(text: str) -> bool:
    """The same as `text_complaint`, without the words."""
    if text.isascii():
        return len(text.encode().translate(None, _CONTROLS)) == len(text)
    return text_complaint(text, len(text) * 4) is None


def _given_ids(table: Table, rows: int) -> list[str | None]:
    if "id" not in table.columns:
        return [None] * rows
    given = table.columns["id"]
    if all(given) and MISSING not in given:
        return list(given)
    return [job_id if job_id and job_id is not MISSING else None for job_id in given]


@lru_cache(maxsize=256)
def _unambiguous(template: str) -> str:
    """The template, if each of its fields is one whatever the job has. Raises `OutputError` if not."""
    try:
        fields = [piece.text for piece in pieces(template) if piece.is_field]
    except TemplateError as exc:
        raise OutputError(str(exc)) from exc
    if not template.strip() or not all("." in name or name in ("id", "model", "line") for name in fields):
        raise OutputError("is for the complete check to judge")
    return template.strip()
