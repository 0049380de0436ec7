"""One request shape of a model as the catalog describes it: fields, media, conditions, rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from pipeline.core.jobs import MediaForm

MISSING: Any = object()
"""Where a path leads to nothing; null is something."""


@dataclass(frozen=True, slots=True)
class Media:
    """What a media value may be (`reference: modelverse-api.md` §11)."""

    kind: Literal["image", "video", "audio", "mixed"]
    forms: tuple[str, ...]
    """`url`, `data_uri`, `base64`, `base64_unspecified`."""
    form: MediaForm
    """How a local file is written here."""
    doubt: str | None = None
    """Why that form may be refused by the service, where the documents leave it open."""
    limits: str | None = None
    """Key of the catalog's `media_limits`."""

    @property
    def takes_bare_base64(self) -> bool:
        """Whether Base64 without a `data:` prefix is a value."""
        return "base64" in self.forms or "base64_unspecified" in self.forms


@dataclass(frozen=True, slots=True)
class Field:
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
    min_length: int | None = None
    """Characters."""
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    media: Media | None = None
    """For the texts that are media values themselves, not for the arrays and objects around them."""
    ignored: bool = False
    """Accepted, documented as without effect."""
    fields: Mapping[str, "Field"] = field(default_factory=dict)
    """Of an object."""
    item: "Field | None" = None
    """Of an array."""
    discriminator: str | None = None
    """The field of an object that picks its variant."""
    variants: Mapping[str, Mapping[str, "Field"]] = field(default_factory=dict)

    def fields_of(self, value: Mapping[str, Any]) -> Mapping[str, "Field"] | None:
        """The fields that this object may have; None where the value does not say which variant it is."""
        if self.discriminator is None:
            return self.fields
        variant = value.get(self.discriminator)
        return self.variants.get(variant) if isinstance(variant, str) else None


@dataclass(frozen=True, slots=True)
class MediaValue:
    """A media value found in a request."""

    path: str
    """Dotted, list positions as numbers."""
    text: str
    media: Media


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison with a request: exactly one of the tests is set."""

    path: str
    test: Literal["in", "present", "any_item", "none_item"]
    operand: Any
    """Values, true or false, or the wanted members of an item."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What must be given together, and when."""

    id: str
    verb: Literal["require", "require_one", "require_any"]
    paths: tuple[str, ...]
    when: tuple[Condition, ...] = ()
    warning: bool = False
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
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
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Extra headers of the submit."""
    idempotency: str | None = None
    """Dotted path of the field that carries an id chosen by the caller."""

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

    def _holds(self, condition: Condition, request: Mapping[str, Any]) -> bool:
        value = lookup(request, condition.path)
        if condition.test == "present":
            return (value is not MISSING and value is not None) is condition.operand
        described = self.field_at(condition.path)
        if condition.test == "in":
            value = described.default if value is MISSING and described else value
            return any(value == wanted and type(value) is type(wanted) for wanted in condition.operand)
        items = value if isinstance(value, list) else []
        found = any(_item_has(item, described, condition.operand) for item in items)
        return found is (condition.test == "any_item")


def lookup(request: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or MISSING."""
    value: Any = request
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return value


def _item_has(item: Any, array: Field | None, wanted: Mapping[str, Any]) -> bool:
    if not isinstance(item, Mapping):
        return False
    described = array.item.fields if array and array.item else {}

    def given(name: str) -> Any:
        return item.get(name, described[name].default if name in described else MISSING)

    return all(given(name) == value for name, value in wanted.items())


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
