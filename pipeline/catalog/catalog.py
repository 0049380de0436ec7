"""The catalog: which request shapes there are, which one a request has, where a bare column belongs."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import yaml

from pipeline.catalog.entry import Entry, Field
from pipeline.catalog.parse import parse_entry
from pipeline.catalog.wording import did_you_mean, listed, plain, shown

_OTHER_IDS = {
    "withdrawn": "was withdrawn by the vendor",
    "other_protocol": "speaks another protocol",
    "undocumented": "is named by other clients, but no document of the vendor describes it",
    "not_video": "is no video model",
}


class UnknownColumnError(ValueError):
    """A bare column name means no field of the model, or more than one; the message says what would be right."""


class Catalog:
    """What every model accepts."""

    def __init__(self, entries: Sequence[Entry], other_ids: Mapping[str, str]) -> None:
        self.entries = tuple(entries)
        self._by_model: dict[str, list[Entry]] = {}
        for entry in entries:
            for model in entry.ids:
                self._by_model.setdefault(model, []).append(entry)
        self._other_ids = other_ids
        """What is known of ids that no entry has."""

    @staticmethod
    @cache
    def load() -> "Catalog":
        """The catalog that ships with the package; read once, at the first call."""
        text = resources.files("pipeline.catalog").joinpath("models.yaml").read_bytes()
        # The file is our own; the C loader reads it in a fifth of the time and is missing on some machines.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        raw = yaml.load(text, Loader=loader)  # noqa: S506  # both candidates are safe loaders
        others = {row["id"]: _describe_other(row) for row in raw["other_ids"]}
        return Catalog([parse_entry(entry) for entry in raw["models"]], others)

    @property
    def models(self) -> tuple[str, ...]:
        """Every value of `model` that selects an entry."""
        return tuple(self._by_model)

    def entries_of(self, model: str) -> Sequence[Entry]:
        """The request shapes that share this model id; none where the model is unknown."""
        return self._by_model.get(model, ())

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


def _describe_other(row: Mapping[str, str]) -> str:
    note = f" ({row['note']})" if row["note"] else ""
    return f"{_OTHER_IDS[row['status']]}{note}"


def _undecided(model: str, entries: Sequence[Entry]) -> tuple[str, str]:
    """The model is known but no shape matches: name the field whose value decides."""
    wanted: dict[str, list[str]] = {}
    for entry in entries:
        for alternative in entry.selector:
            for condition in alternative:
                if condition.test == "in":
                    wanted.setdefault(condition.path, []).extend(str(value) for value in condition.operand)
    path, values = max(wanted.items(), key=lambda item: len(item[1]))
    return path, f"decides what {plain(model)} is to do; write {listed(dict.fromkeys(values))}"
