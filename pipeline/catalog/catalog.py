"""The catalog: which request shapes there are, which one a request has, where a bare column belongs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from pipeline.catalog.entry import Entry, Field
from pipeline.catalog.parse import LimitsByName, parse_entry, parse_limits
from pipeline.catalog.twin import ids_in, load_twin, load_unread, read_entry
from pipeline.catalog.wording import did_you_mean, listed, plain, shown
from pipeline.catalog.written import OtherRow, PriceListRow

if TYPE_CHECKING:
    from pathlib import Path

_OTHER_IDS = {
    "withdrawn": "was withdrawn by the vendor",
    "other_protocol": "speaks another protocol",
    "undocumented": "is named by other clients, but no document of the vendor describes it",
    "not_video": "is no video model",
}


class UnknownColumnError(ValueError):
    """A bare column name means no field of the model, or more than one; the message says what would be right."""


class Unread(Struct, frozen=True):
    """An entry that is made when somebody asks for one of its models: most manifests name one of some fifty."""

    ids: tuple[str, ...]
    read: Callable[[], Entry]


class Catalog:
    """What every model accepts and costs."""

    def __init__(self, entries: Iterable[Entry | Unread], other_ids: Mapping[str, str], prices_as_of: str = "") -> None:
        self._entries = list(entries)
        self.prices_as_of = prices_as_of
        """The day of the price list, and that of the user's own where there is one: to be shown beside every price."""
        self._places: dict[str, list[int]] = {}
        """In the list of entries, by model."""
        for place, entry in enumerate(self._entries):
            for model in entry.ids:
                self._places.setdefault(model, []).append(place)
        self._by_model: dict[str, Sequence[Entry]] = {}
        """Of the models that were asked for."""
        self._other_ids = other_ids
        """What is known of ids that no entry has."""

    @classmethod
    def load(cls, extra: "Path | None" = None) -> "Catalog":
        """The catalog that ships with the package, with a file of the user's own merged onto it.

        Raises `SettingsError` with every problem of that file, each with its line.
        """
        return _shipped() if extra is None else _extended(extra)

    def letting_unknown_pass(self) -> "Catalog":
        """The same catalog, but fields that an entry does not have are no mistakes."""
        entries = (replace(entry, lets_unknown_pass=True) for entry in self.entries)
        return Catalog(entries, self._other_ids, self.prices_as_of)

    @property
    def models(self) -> tuple[str, ...]:
        """Every value of `model` that selects an entry."""
        return tuple(self._places)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of them."""
        return tuple(map(self._entry, range(len(self._entries))))

    def entries_of(self, model: str) -> Sequence[Entry]:
        """The request shapes that share this model id; none where the model is unknown."""
        found = self._by_model.get(model)
        if found is None and model in self._places:
            found = self._by_model[model] = tuple(map(self._entry, self._places[model]))
        return found or ()

    def entry_for(self, model: str, request: Mapping[str, Any]) -> Entry | None:
        """The shape of `{"input": {…}, "parameters": {…}}` sent to this model, or None (`why_none` says why)."""
        whole = {**request, "model": model}
        return next((entry for entry in self.entries_of(model) if entry.matches(whole)), None)

    def why_none(self, model: str) -> tuple[str, str]:
        """Why a request has no entry: the path that is at fault, and a sentence with the mend."""
        entries = self.entries_of(model)
        if entries:
            return _undecided(model, entries)
        if model in self._other_ids:
            return "model", f"{plain(model)} {self._other_ids[model]}"
        return "model", f"the catalog has no model {shown(model)}{did_you_mean(model, self.models)}"

    def field(self, model: str, path: str) -> Field | None:
        """The field of the model that a dotted path names, in whichever shape has it."""
        return next((found for entry in self.entries_of(model) if (found := entry.field_at(path))), None)

    def resolve_column(self, name: str, model: str | None = None) -> str:
        """The dotted path that a bare name means for a model, or for any model where None is given.

        Raises `UnknownColumnError` where no field has the name or, for one model, more than one has.
        """
        entries = self.entries if model is None else self.entries_of(model)
        paths = sorted({path for entry in entries for path in entry.fields if path.split(".")[1] == name})
        if not paths:
            names = {path.split(".")[1] for entry in entries for path in entry.fields}
            owner = "no model" if model is None else f"the model {plain(model)}"
            verb = "has a field of this name" if model is None else "has no field of this name"
            raise UnknownColumnError(f"{owner} {verb}{did_you_mean(name, names)}")
        if len(paths) > 1 and model is not None:
            raise UnknownColumnError(f"the name is ambiguous; write {listed(paths)}")
        return paths[0]

    def _entry(self, place: int) -> Entry:
        entry = self._entries[place]
        if isinstance(entry, Unread):
            entry = self._entries[place] = entry.read()
        return entry


@cache
def _shipped() -> Catalog:
    written = load_unread()
    limits = {name: parse_limits(row) for name, row in written.media_limits.items()}
    prices = written.provenance.prices
    entries = [_unread(entry, limits, prices) for entry in written.models]
    return Catalog(entries, _others(written.other_ids), prices.last_change)


def _unread(entry: Raw, limits: LimitsByName, prices: PriceListRow) -> Unread:
    return Unread(ids_in(entry), lambda: parse_entry(read_entry(entry), limits, prices.last_change, prices.source))


def _extended(path: "Path") -> Catalog:
    """The user's new entries are asked first, so that they may share an id with an entry of ours."""
    from pipeline.catalog.own import read_own

    shipped, written = _shipped(), load_twin()
    own = read_own(path, written)
    limits = {name: parse_limits(row) for name, row in {**written.media_limits, **own.media_limits}.items()}
    made = {row.key: parse_entry(row, limits, *own.prices_of(row, written)) for row in own.entries}
    known = {entry.key for entry in shipped.entries}
    entries = [entry for key, entry in made.items() if key not in known]
    entries += [made.get(entry.key, entry) for entry in shipped.entries]
    dates = [shipped.prices_as_of, *([f"{own.date} in {path.name}"] if own.priced else [])]
    taken = {model for entry in entries for model in entry.ids}
    others = {name: text for name, text in shipped._other_ids.items() if name not in taken}
    return Catalog(entries, others, " and ".join(dates))


def _others(rows: Iterable[OtherRow]) -> dict[str, str]:
    return {row.id: f"{_OTHER_IDS[row.status]}{f' ({row.note})' if row.note else ''}" for row in rows}


def _undecided(model: str, entries: Sequence[Entry]) -> tuple[str, str]:
    """The model is known but no shape matches: name the field whose value decides."""
    wanted: dict[str, list[str]] = {}
    for entry in entries:
        for alternative in entry.selector:
            for condition in alternative:
                if condition.test == "in":
                    wanted.setdefault(condition.path, []).extend(str(value) for value in condition.operand)
    if not wanted:
        return "model", f"no request shape of {plain(model)} fits; it is told by which fields are given"
    path, values = max(wanted.items(), key=lambda item: len(item[1]))
    return path, f"decides what {plain(model)} is to do; write {listed(dict.fromkeys(values))}"
