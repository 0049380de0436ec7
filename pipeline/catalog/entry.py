"""One request shape of a model as the catalog describes it: fields, media, rules, price."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct

from pipeline.catalog.conditions import MISSING, Condition, is_given, lookup, same
from pipeline.catalog.limits import UNLIMITED, Limits
from pipeline.catalog.tariff import UNPRICED, Price, SecondsCase
from pipeline.core.jobs import MediaForm


class Media(Struct, frozen=True):
    """What a media value may be (`reference: modelverse-api.md` §11)."""

    kind: Literal["image", "video", "audio", "mixed"]
    forms: tuple[str, ...]
    """`url`, `data_uri`, `base64`, `base64_unspecified`."""
    form: MediaForm
    """How a local file is written here."""
    doubt: str | None = None
    """Why that form may be refused by the service, where the documents leave it open."""
    limits: Limits = UNLIMITED

    @property
    def takes_bare_base64(self) -> bool:
        """Whether Base64 without a `data:` prefix is a value."""
        known = "base64" in self.forms or "base64_unspecified" in self.forms
        return known and self.form is not MediaForm.OBJECT


class Field(Struct, frozen=True):
    """One field of a request, with its own fields or items below it."""

    name: str
    type: Literal["string", "integer", "number", "boolean", "array", "object"]
    required: bool = False
    """Always required; what is required under a condition is said by the entry's rules."""
    enum: tuple[Any, ...] = ()
    """The only values; a constant is an enum of one."""
    min: float | None = None
    max: float | None = None
    default: Any = MISSING
    assumed_default: Any = MISSING
    """What an omitted value is taken for in estimates, where no document says it."""
    min_length: int | None = None
    """Characters."""
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    media: Media | None = None
    """For the texts that are media values themselves, and for objects in whose place a local file may be named."""
    ignored: bool = False
    """Accepted, documented as without effect."""
    fields: Mapping[str, "Field"] = {}
    """Of an object."""
    item: "Field | None" = None
    """Of an array."""
    discriminator: str | None = None
    """The field of an object that picks its variant."""
    variants: Mapping[str, Mapping[str, "Field"]] = {}
    note: str = ""

    def fields_of(self, value: Mapping[str, Any]) -> Mapping[str, "Field"] | None:
        """The fields that this object may have; None where the value does not say which variant it is."""
        if self.discriminator is None:
            return self.fields
        variant = value.get(self.discriminator)
        return self.variants.get(variant) if isinstance(variant, str) else None


class MediaValue(Struct, frozen=True):
    """A media value found in a request."""

    path: str
    """Dotted, list positions as numbers."""
    text: str
    media: Media


Verb = Literal["require", "require_one", "require_any", "forbid", "ignored", "allow", "range", "count", "check", "fire"]


class Rule(Struct, frozen=True):
    """What must be so, and when."""

    id: str
    verb: Verb
    paths: tuple[str, ...] = ()
    """What the rule is about; for `check` and `fire`, what its conditions are about."""
    when: tuple[Condition, ...] = ()
    warning: bool = False
    why: str | None = None
    bounds: Mapping[str, tuple[Any, ...]] = {}
    """By path: the values of `allow`, the lowest and the highest of `range` and `count`."""
    check: str | None = None
    """The name of a check that is code (`rules.CHECKS`)."""


class Entry(Struct, frozen=True):
    """One request shape: what a model accepts, and how it wants to be asked."""

    key: str
    ids: tuple[str, ...]
    """Values of `model` that may select this shape."""
    status: Literal["current", "superseded", "withdrawn"]
    input: Field
    parameters: Field
    selector: tuple[tuple[Condition, ...], ...] = ()
    """Alternatives, each a list of conditions that must all hold; none: the id alone decides."""
    rules: tuple[Rule, ...] = ()
    headers: Mapping[str, str] = MappingProxyType({})
    """Extra headers of the submit."""
    idempotency: str | None = None
    """Dotted path of the field that carries an id chosen by the caller."""

    kinds: tuple[str, ...] = ()
    """`t2v`, `i2v`, `flf2v` (first and last frame), `r2v` (reference), `v2v`, `extend`, `motion`, `lipsync`, `mv`."""
    price: Price = UNPRICED
    typical: tuple[SecondsCase, ...] = ()
    typical_note: str = ""
    notes: tuple[str, ...] = ()
    quirks: tuple[str, ...] = ()
    """Defects of the vendor's documents, in words."""
    source: tuple[str, ...] = ()
    lets_unknown_pass: bool = False
    """Whether fields that the entry does not have are sent as they are."""

    @property
    def fields(self) -> dict[str, Field]:
        """The fields by dotted path: `input.prompt`, `parameters.resolution`, …"""
        return {
            f"{section.name}.{name}": one
            for section in (self.input, self.parameters)
            for name, one in section.fields.items()
        }

    def field_at(self, path: str) -> Field | None:
        """The field that a dotted path names, also inside objects; lists and variants are not entered."""
        section, *names = path.split(".")
        found: Field | None = {"input": self.input, "parameters": self.parameters}.get(section)
        for name in names:
            found = found.fields.get(name) if found else None
        return found

    def matches(self, request: Mapping[str, Any]) -> bool:
        """Whether a request with one of our ids has this shape."""
        return not self.selector or any(self.all_hold(alternative, request) for alternative in self.selector)

    def all_hold(self, conditions: tuple[Condition, ...], request: Mapping[str, Any]) -> bool:
        """Whether every condition holds for the request."""
        return all(self._holds(condition, request) for condition in conditions)

    def media_values(self, request: Mapping[str, Any]) -> Iterator[MediaValue]:
        """Every text in the request that is a media value, at any depth that the entry describes."""
        for section in (self.input, self.parameters):
            yield from _media_in(section, request.get(section.name), section.name)

    def value_at(self, request: Mapping[str, Any], path: str) -> Any:
        """The given value, or else the documented default, or MISSING."""
        value = lookup(request, path)
        if value is not MISSING:
            return value
        described = self.field_at(path)
        return described.default if described else MISSING

    def values_read(self) -> frozenset[str]:
        """The paths whose values, and not only their presence, decide shape, rules or price."""
        rules = [condition for rule in self.rules for condition in rule.when]
        chosen = [condition for alternative in self.selector for condition in alternative]
        found = {condition.path for condition in (*rules, *chosen) if condition.test != "present"}
        looked_at = {path for rule in self.rules for path in (rule.paths if rule.check else rule.bounds)}
        return frozenset(found | looked_at | self.price.paths)

    def typical_seconds_for(self, request: Mapping[str, Any]) -> float | None:
        """How long the documents let one expect a task to take; None where they do not say."""
        case = next((case for case in self.typical if self.all_hold(case.when, request)), None)
        if case is None or case.table is None:
            return case.seconds if case else None
        found = case.table.at(tuple(self.value_at(request, path) for path in case.table.by))
        return sum(found) / 2 if isinstance(found, tuple) else found

    def _holds(self, condition: Condition, request: Mapping[str, Any]) -> bool:
        if condition.test == "present":
            return is_given(request, condition.path) is condition.operand
        if condition.test == "in":
            value = self.value_at(request, condition.path)
            return any(same(value, wanted) for wanted in condition.operand)
        described = self.field_at(condition.path)
        value = lookup(request, condition.path)
        items = value if isinstance(value, list) else []
        found = any(_item_has(item, described, condition.operand) for item in items)
        return found is (condition.test == "any_item")


def _item_has(item: Any, array: Field | None, wanted: Mapping[str, Any]) -> bool:
    if not isinstance(item, Mapping):
        return False
    described = array.item.fields if array and array.item else {}

    def given(name: str) -> Any:
        return item.get(name, described[name].default if name in described else MISSING)

    return all(same(given(name), value) for name, value in wanted.items())


def _media_in(described: Field, value: Any, path: str) -> Iterator[MediaValue]:
    if isinstance(value, str):
        if described.media:
            yield MediaValue(path, value, described.media)
    elif isinstance(value, list) and described.item:
        for position, item in enumerate(value):
            yield from _media_in(described.item, item, f"{path}.{position}")
    elif isinstance(value, Mapping):
        fields = described.fields_of(value) or {}
        for name, inner in value.items():
            if name in fields:
                yield from _media_in(fields[name], inner, f"{path}.{name}")
