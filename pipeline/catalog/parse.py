"""The written catalog, made into entries."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, get_args

from msgspec import UNSET

from pipeline.catalog.conditions import MISSING, Condition
from pipeline.catalog.entry import Entry, Field, Media, Rule, Verb
from pipeline.catalog.limits import UNLIMITED, Limits
from pipeline.catalog.tariff import Price, PriceCase, SecondsCase, Surcharge, Table, TokenEstimate
from pipeline.catalog.written import (
    ConditionRow,
    EntryRow,
    FieldRow,
    ItemsRow,
    LimitsRow,
    MediaRow,
    PriceCaseRow,
    PriceRow,
    PriceTableRow,
    RuleRow,
    SecondsCaseRow,
    SurchargeRow,
)
from pipeline.core.jobs import MediaForm

_MEDIA_NAMES = ("url", "image_url", "video_url", "audio_url", "images", "bytesBase64Encoded")
"""Inside an array or object that is declared as media, the texts under these names are the media values."""
_VERBS = get_args(Verb)
_CHECKED = {
    "multi_prompt_sum": ("parameters.multi_prompt", "parameters.duration"),
    "kling_frames": ("parameters.image_list", "parameters.video_list"),
    "seedance_content": ("input.content",),
}
"""What the named checks look at."""

LimitsByName = Mapping[str, Limits]


def parse_entry(raw: EntryRow, limits: LimitsByName, as_of: str, origin: str) -> Entry:
    """One entry of the list `models`; the price list's day and origin go with its prices."""
    fields = _Fields(raw.key, limits)
    return Entry(
        key=raw.key,
        ids=tuple(raw.ids),
        status=raw.status,
        kinds=tuple(raw.kinds),
        input=fields.section("input", raw.inputs),
        parameters=fields.section("parameters", raw.parameters),
        selector=tuple(_conditions(alternative) for alternative in raw.selector),
        rules=tuple(_rule(row) for row in raw.rules),
        headers=MappingProxyType(raw.headers),
        idempotency=raw.idempotency.field if raw.idempotency else None,
        price=_price(raw.price, as_of, origin),
        typical=tuple(_seconds(case) for case in raw.typical_seconds.cases) if raw.typical_seconds else (),
        typical_note=raw.typical_seconds.note if raw.typical_seconds else "",
        notes=tuple(raw.notes),
        quirks=tuple(quirk.text for quirk in raw.quirks),
        source=tuple(raw.source),
    )


# -- fields


class _Fields:
    """Makes the fields of one entry."""

    def __init__(self, key: str, limits: LimitsByName) -> None:
        self._key = key
        self._limits = limits

    def section(self, name: str, rows: Iterable[FieldRow]) -> Field:
        return Field(name, "object", fields=self._named(((row.path or "").partition(".")[2], row) for row in rows))

    def _named(self, rows: Iterable[tuple[str, FieldRow]], around: MediaRow | None = None) -> Mapping[str, Field]:
        """Fields by name; a dotted name such as `image_url.url` becomes an object with a field."""
        found: dict[str, Field] = {}
        for name, row in rows:
            outer, dot, inner = name.partition(".")
            if dot:
                child = self._field(inner, row, _narrowed(around, outer))
                found[outer] = Field(outer, "object", required=child.required, fields={inner: child})
            else:
                found[outer] = self._field(name, row, around)
        return found

    def _inner(self, rows: Iterable[FieldRow], around: MediaRow | None) -> Mapping[str, Field]:
        return self._named(((row.name or "", row) for row in rows), around)

    def _field(self, name: str, row: FieldRow, around: MediaRow | None) -> Field:
        declared = row.media or (around if name in _MEDIA_NAMES else None)
        below = row.media or around
        items = row.items or (ItemsRow(type=row.of) if row.of else None)
        return Field(
            name=name,
            type=row.type,
            required=row.required is True,
            enum=tuple(row.enum) if row.const is UNSET else (row.const,),
            min=row.min,
            max=row.max,
            default=_set(row.default),
            assumed_default=_set(row.assumed_default),
            min_length=row.min_length,
            max_length=row.max_length,
            min_items=row.min_items,
            max_items=row.max_items,
            media=self._media(declared, row) if declared and row.type in ("string", "object") else None,
            ignored=row.ignored,
            fields=self._inner(row.fields, below),
            item=self._item(items, name, below) if items else None,
            note=row.note,
        )

    def _item(self, items: ItemsRow, name: str, media: MediaRow | None) -> Field:
        if items.type != "object":
            return self._field(name, FieldRow(type=items.type, media=media), None)
        return Field(
            name,
            "object",
            fields=self._inner(items.fields, media),
            discriminator=items.discriminator,
            variants={variant: self._inner(rows, media) for variant, rows in items.variants.items()},
        )

    def _media(self, declared: MediaRow, row: FieldRow) -> Media:
        forms = ("url",) if row.note == "URL only" else tuple(declared.forms)
        form, doubt = (MediaForm.OBJECT, None) if row.type == "object" else _local_form(forms, self._key)
        return Media(declared.kind, forms, form, doubt, self._limits.get(declared.limits or "", UNLIMITED))


def _set(value: Any) -> Any:
    return MISSING if value is UNSET else value


def _narrowed(media: MediaRow | None, name: str) -> MediaRow | None:
    """Mixed media (text, pictures, clips, sound in one array) say by the member's name what they are."""
    if media is None or media.kind != "mixed":
        return media
    return MediaRow(kind=name.removesuffix("_url"), forms=media.forms, limits=media.limits)  # type: ignore[arg-type]  # the catalog's names are `image_url`, `video_url` and `audio_url`


def _local_form(forms: tuple[str, ...], key: str) -> tuple[MediaForm, str | None]:
    """How a local file is written, and what is doubtful about it (`reference: modelverse-api.md` §11, §15)."""
    if "data_uri" in forms:
        return MediaForm.DATA_URI, None
    if "base64" in forms:
        return MediaForm.BASE64, None
    if "base64_unspecified" in forms:
        doubt = 'the vendor\'s page says "Base64" without saying in which form'
        return (MediaForm.BASE64 if key.startswith("kling") else MediaForm.DATA_URI), doubt
    return MediaForm.DATA_URI, "the vendor's page names only URLs here"


def parse_limits(raw: LimitsRow) -> Limits:
    """The limits of a file, a megabyte being a million bytes."""
    others = {
        "codec": raw.codec,
        "length": raw.max_seconds_landscape or raw.max_seconds_portrait,
        "frames a second": raw.min_fps or raw.max_fps,
    }
    return Limits(
        formats=tuple(raw.formats),
        max_bytes=_bytes(raw.max_mb),
        max_encoded_bytes=_bytes(raw.max_decoded_base64_mb),
        max_request_bytes=_bytes(raw.max_request_body_mb),
        min_side=raw.min_side_px,
        max_side=raw.max_side_px,
        aspect_min=raw.aspect_min,
        aspect_max=raw.aspect_max,
        min_seconds=raw.min_seconds,
        max_seconds=raw.max_seconds,
        others=tuple(name for name, value in others.items() if value is not None),
    )


def _bytes(megabytes: float | None) -> int | None:
    return None if megabytes is None else round(megabytes * 1_000_000)


# -- rules


def _rule(row: RuleRow) -> Rule:
    verb: Verb = next(verb for verb in _VERBS if getattr(row, verb) is not None)
    operand = getattr(row, verb)
    when = _conditions(row.when)
    bounds: dict[str, tuple[Any, ...]] = {}
    if isinstance(operand, dict):
        bounds = {path: tuple(values) for path, values in operand.items()}
        paths = tuple(bounds)
    elif isinstance(operand, list):
        paths = tuple(operand)
    else:
        paths = _CHECKED[operand] if verb == "check" else tuple(condition.path for condition in when)
    return Rule(row.id, verb, paths, when, row.level == "warn", row.why, bounds, row.check)


def _conditions(rows: Iterable[ConditionRow]) -> tuple[Condition, ...]:
    return tuple(_condition(row) for row in rows)


def _condition(row: ConditionRow) -> Condition:
    if row.equals is not UNSET:
        return Condition(row.path, "in", (row.equals,))
    if row.among is not UNSET:
        return Condition(row.path, "in", tuple(row.among))
    if row.present is not UNSET:
        return Condition(row.path, "present", row.present)
    if row.any_item is not UNSET:
        return Condition(row.path, "any_item", row.any_item)
    return Condition(row.path, "none_item", row.none_item)


# -- prices and times


def _price(row: PriceRow, as_of: str, origin: str) -> Price:
    return Price(
        currency=row.currency,
        quantity=row.quantity,
        as_of=as_of,
        origin=origin,
        cases=tuple(_case(case) for case in row.cases),
        surcharges=tuple(_surcharge(case) for case in row.surcharges),
        tokens=_tokens(row),
        paths=frozenset(_price_paths(row)),
    )


def _price_paths(row: PriceRow) -> Iterator[str]:
    for extra in row.surcharges:
        yield from (condition.path for condition in extra.when)
    for case in row.cases:
        yield from (condition.path for condition in case.when)
        yield from case.table.by if case.table else ()
        yield from ("parameters.duration", "parameters.resolution") if case.unit == "per_million_tokens" else ()
        yield from ("parameters.duration",) if case.unit in ("per_second", "per_5_seconds") else ()


def _case(row: PriceCaseRow) -> PriceCase:
    return PriceCase(_conditions(row.when), row.unit, row.amount, _table(row.table), row.seconds_from)


def _surcharge(row: SurchargeRow) -> Surcharge:
    return Surcharge(_conditions(row.when), row.amount, row.why)


def _table(row: PriceTableRow | None) -> Table[Any] | None:
    return Table(tuple(row.by), row.rows) if row else None


def _tokens(row: PriceRow) -> TokenEstimate | None:
    told = row.token_estimate
    return TokenEstimate(told.pixels, told.confidence, told.note) if told else None


def _seconds(row: SecondsCaseRow) -> SecondsCase:
    seconds = None if row.seconds is None else float(row.seconds)
    table: Table[Any] | None = Table(tuple(row.table.by), row.table.rows) if row.table else None
    return SecondsCase(_conditions(row.when), seconds, table)
