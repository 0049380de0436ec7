"""The catalog on a screen: a table of all models, and a page about one. Pure; lines of plain text, or JSON."""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pipeline.catalog import MISSING, Catalog, Entry, Field, Media, did_you_mean, example_of, listed, shown
from pipeline.catalog.conditions import Condition
from pipeline.catalog.entry import Rule
from pipeline.catalog.tariff import Price, PriceCase, SecondsCase, Table
from pipeline.core.errors import UsageError
from pipeline.views.text import printable

WIDTH = 80
"""Columns of a terminal that everybody has."""
_KINDS = {
    "t2v": "text to video",
    "i2v": "picture to video",
    "flf2v": "first and last frame to video",
    "r2v": "reference pictures to video",
    "v2v": "editing of a video",
    "extend": "extending a video",
    "motion": "motion from a video",
    "lipsync": "lip sync",
    "mv": "music video",
}
_UNITS = {
    "per_second": "a second",
    "per_5_seconds": "for each 5 s begun",
    "per_video": "a video",
    "per_million_tokens": "a million tokens",
}
_SHORT_UNITS = {"per_second": "s", "per_5_seconds": "5 s", "per_video": "video", "per_million_tokens": "M tokens"}
_FORMS = {
    "url": "URL",
    "data_uri": "data URI",
    "base64": "Base64",
    "base64_unspecified": "Base64 (its form is not documented)",
}


def models_table(catalog: Catalog) -> list[str]:
    """One line for each model id: what it makes, and its price in a few words."""
    rows = [("model", "kinds", "price"), *(_row(catalog, model) for model in catalog.models)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{model.ljust(widths[0])}  {kinds.ljust(widths[1])}  {price}".rstrip() for model, kinds, price in rows]
    currencies = listed(dict.fromkeys(entry.price.currency for entry in catalog.entries), "and")
    said = f"Prices in {currencies}, as published on {catalog.prices_as_of}; a dash is an unknown price."
    whole = (*lines, "", *_wrapped(said, ""), *_wrapped(f"{_legend(catalog)}.", ""))
    return [printable(line) for line in whole]


def _row(catalog: Catalog, model: str) -> tuple[str, str, str]:
    entries = catalog.entries_of(model)
    kinds = dict.fromkeys(kind for entry in entries for kind in entry.kinds)
    price = _price_in_short((entry.price for entry in entries), model)
    states = dict.fromkeys(entry.status for entry in entries if entry.status != "current")
    return model, " ".join(kinds), " ".join([price, *states])


def _legend(catalog: Catalog) -> str:
    used = {kind for entry in catalog.entries for kind in entry.kinds}
    return ", ".join(f"{kind}: {words}" for kind, words in _KINDS.items() if kind in used)


def model_page(catalog: Catalog, name: str) -> list[str]:
    """Everything about a model, or about one of its request shapes by the entry's key.

    Raises `UsageError` where the catalog has neither, with the nearest name.
    """
    lines: list[str] = []
    for entry in _named(catalog, name):
        lines += [*([""] if lines else []), *_page(entry)]
    return [printable(line) for line in lines]


def models_json(catalog: Catalog, name: str | None = None) -> str:
    """The same as one JSON value: a list of entries. Raises `UsageError` as `model_page` does."""
    entries = catalog.entries if name is None else _named(catalog, name)
    whole = {"prices_as_of": catalog.prices_as_of, "entries": [_as_json(entry) for entry in entries]}
    return json.dumps(whole, default=str)


def _named(catalog: Catalog, name: str) -> Sequence[Entry]:
    found = catalog.entries_of(name) or [entry for entry in catalog.entries if entry.key == name]
    if not found:
        if name in catalog.models or (why := catalog.why_none(name)[1]).startswith("the catalog has no"):
            names = (*catalog.models, *(entry.key for entry in catalog.entries))
            raise UsageError(f"the catalog has no model {shown(name)}{did_you_mean(name, names)}")
        raise UsageError(why)
    return found


# -- one page


def _page(entry: Entry) -> Iterator[str]:
    yield from _wrapped(f"{', '.join(entry.ids)} ({entry.key}, {entry.status})", "")
    yield from _wrapped(listed([_KINDS[kind] for kind in entry.kinds], "and"), "  ")
    yield from _section("fields", _fields(entry))
    yield from _section("rules", (line for rule in entry.rules for line in _wrapped(rule_in_words(rule), "  - ")))
    yield from _section("price", _price(entry.price))
    yield from _section("typical time", _times(entry))
    yield from _section(
        "worth knowing", (line for one in (*entry.notes, *entry.quirks) for line in _wrapped(one, "  - "))
    )
    yield from _section("source", _wrapped(", ".join(entry.source), "  "))
    yield from _section("an example", _example(entry))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield from ("", f"{title}:", *found)


def _example(entry: Entry) -> Iterator[str]:
    yield "  jobs:"
    yield from _as_yaml([example_of(entry)], "    ")


def _as_yaml(value: Any, indent: str) -> Iterator[str]:
    """The value as block YAML, texts in quotes where they could be read as something else."""
    if isinstance(value, list):
        for item in value:
            first, *rest = _as_yaml(item, f"{indent}  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
    elif isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, list | dict):
                yield f"{indent}{name}:"
                yield from _as_yaml(inner, f"{indent}  ")
            else:
                yield f"{indent}{name}: {_yaml_scalar(inner)}"
    else:
        yield f"{indent}{_yaml_scalar(value)}"


def _yaml_scalar(value: Any) -> str:
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w ./-]*|https://[\w./-]+|\d+[A-Za-z]\w*", value)
    return value if plain and value not in ("on", "off", "yes", "no") else json.dumps(value, ensure_ascii=False)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_on_hyphens=False,
        break_long_words=False,
    )


# -- fields


def _fields(entry: Entry) -> Iterator[str]:
    width = max(len(path) for path in entry.fields)
    for path, field in entry.fields.items():
        yield from _hanging(path.ljust(width), "; ".join(_about(field)))
        yield from _inner(field, "    ")


def _hanging(head: str, told: str) -> list[str]:
    indent = " " * (len(head) + 4)
    return textwrap.wrap(
        told, WIDTH, initial_indent=f"  {head}  ", subsequent_indent=indent, break_on_hyphens=False
    ) or [f"  {head}"]


def _inner(field: Field, indent: str) -> Iterator[str]:
    """The fields of an object, or of the objects in an array."""
    around = field.item or field
    for variant, fields in around.variants.items():
        yield f"{indent}{around.discriminator}: {variant}"
        yield from _inner_fields({name: one for name, one in fields.items() if name != around.discriminator}, indent)
    yield from _inner_fields(around.fields, indent)


def _inner_fields(fields: Mapping[str, Field], indent: str) -> Iterator[str]:
    for name, one in fields.items():
        yield from _wrapped(f"{name}: {'; '.join(_about(one))}", f"{indent}  ")
        yield from _inner(one, f"{indent}  ")


def _about(field: Field) -> Iterator[str]:
    if field.required:
        yield "required"
    yield _values(field)
    if field.default is not MISSING:
        yield f"{_plain(field.default)} by default"
    if field.assumed_default is not MISSING:
        yield f"estimates assume {_plain(field.assumed_default)}"
    if field.ignored:
        yield "without effect"
    if field.note:
        yield field.note


def _values(field: Field) -> str:
    """What the field takes, in words."""
    if field.enum:
        return listed(field.enum)
    media = field.media or (field.item.media if field.item else None)
    items = _range_in_words(field.min_items, field.max_items)
    kind = {"string": "text", "array": f"list{f' of {items}' if items else ''}"}.get(field.type, field.type)
    parts = [_media(media) if media else kind]
    if media and field.type == "array":
        parts.insert(0, kind)
    amount = _range_in_words(field.min, field.max)
    length = _range_in_words(field.min_length, field.max_length)
    parts += [amount] if amount else []
    parts += [f"{length} characters"] if length else []
    return ", ".join(parts)


def _media(media: Media) -> str:
    kind = {"mixed": "pictures, clips or sound", "image": "picture", "audio": "sound"}.get(media.kind, media.kind)
    forms = [_FORMS[form] for form in media.forms]
    return f"{kind} as {listed([*forms, 'local file'])}{_limits(media)}"


def _limits(media: Media) -> str:
    limits = media.limits
    aspect = _range_in_words(limits.aspect_min, limits.aspect_max)
    side = _range_in_words(limits.min_side, limits.max_side)
    seconds = _range_in_words(limits.min_seconds, limits.max_seconds)
    told = [
        "/".join(dict.fromkeys(limits.formats)),
        f"at most {limits.max_bytes // 10**6} MB" if limits.max_bytes else "",
        f"{side} pixels a side" if side else "",
        f"width to height {aspect}" if aspect else "",
        f"{seconds} s" if seconds else "",
    ]
    said = ", ".join(filter(None, told))
    return f" ({said})" if said else ""


def _range_in_words(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f"at most {high}"
    if high is None:
        return f"at least {low}"
    return f"{low}" if low == high else f"{low} to {high}"


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


# -- rules


def rule_in_words(rule: Rule) -> str:
    """One sentence about what the rule asks for."""
    when = _conditions(rule.when)
    if rule.verb == "fire":
        said = f"{when}: {rule.why}"
    elif rule.verb == "check":
        said = _CHECKS[rule.check or ""]
    else:
        said = _DEMANDS[rule.verb](rule) + (f" with {when}" if when else "")
        said += f" ({rule.why})" if rule.why else ""
    return f"{said} [a warning]" if rule.warning and rule.verb != "ignored" else said


_CHECKS = {
    "multi_prompt_sum": "the shots of parameters.multi_prompt add up to parameters.duration, each at least 1 s",
    "kling_frames": ("an end_frame needs a first_frame and at most two pictures; a clip to edit takes neither"),
    "seedance_content": ("a draft_task stands alone; a last_frame needs a first_frame; two pictures need both roles"),
}
_DEMANDS = {
    "require": lambda rule: f"{listed(rule.paths, 'and')} required",
    "require_one": lambda rule: f"exactly one of {listed(rule.paths, 'and')}",
    "require_any": lambda rule: f"at least one of {listed(rule.paths, 'and')}",
    "forbid": lambda rule: f"no {listed(rule.paths)}",
    "ignored": lambda rule: f"{listed(rule.paths, 'and')} without effect",
    "allow": lambda rule: listed([f"{path} only {listed(values)}" for path, values in rule.bounds.items()], "and"),
    "range": lambda rule: listed([f"{path} {low} to {high}" for path, (low, high) in rule.bounds.items()], "and"),
    "count": lambda rule: listed(
        [f"{path} of {low} to {high} items" for path, (low, high) in rule.bounds.items()], "and"
    ),
}


def _conditions(conditions: Iterable[Condition]) -> str:
    return listed([_condition(one) for one in conditions], "and")


def _condition(condition: Condition) -> str:
    name = condition.path.removeprefix("parameters.").removeprefix("input.")
    if condition.test == "present":
        return name if condition.operand else f"no {name}"
    if condition.test == "in":
        return f"{name} {listed(condition.operand)}"
    wanted = listed([f"{key} {_plain(value)}" for key, value in condition.operand.items()], "and")
    return f"{wanted} in {name}" if condition.test == "any_item" else f"no {wanted} in {name}"


# -- prices and times


def _price_in_short(prices: Iterable[Price], model: str) -> str:
    """`0.18-0.35/s`, or a dash where it is unknown."""
    spans: dict[str, list[Decimal]] = {}
    for case in (case for price in prices for case in price.cases):
        if all(one.path != "model" or model in one.operand for one in case.when):
            spans.setdefault(case.unit, []).extend(case.amounts())
    return " ".join(f"{_span(amounts)}/{_SHORT_UNITS[unit]}" for unit, amounts in spans.items()) or "-"


def _span(amounts: Sequence[Decimal]) -> str:
    low, high = min(amounts), max(amounts)
    return f"{low}" if low == high else f"{low}-{high}"


def _price(price: Price) -> Iterator[str]:
    if not price.cases:
        yield "  unknown: the price list has none for this model"
        return
    yield from _wrapped(f"in {price.currency}; what is counted: {price.quantity or 'not said'}", "  ")
    for case in price.cases:
        yield from _case(case)
    for extra in price.surcharges:
        yield from _wrapped(f"+ {extra.amount} a video with {_conditions(extra.when)}", "  ")
    if price.tokens:
        yield from _wrapped(f"tokens: {price.tokens.confidence}. {price.tokens.note}", "  ")
    yield from _wrapped(f"price list of {price.as_of}, {price.origin}", "  ")


def _case(case: PriceCase) -> Iterator[str]:
    when = _conditions(case.when)
    unit = _UNITS[case.unit]
    if case.seconds_from:
        unit += " of the clip to edit" if case.seconds_from == "input_video" else " of the finished video"
    if case.table is None:
        yield from _wrapped(f"{case.amount} {unit}{f' with {when}' if when else ''}", "  ")
    else:
        yield from _grid(case.table, f"{unit}{f' with {when}' if when else ''}")


def _times(entry: Entry) -> Iterator[str]:
    for case in entry.typical:
        yield from _time(case)
    if entry.typical_note:
        yield from _wrapped(entry.typical_note, "  ")


def _time(case: SecondsCase) -> Iterator[str]:
    when = _conditions(case.when)
    if case.table is None:
        yield from _wrapped(f"{case.seconds:g} s{f' with {when}' if when else ''}", "  ")
    else:
        yield from _grid(case.table, f"seconds{f' with {when}' if when else ''}")


def _grid(table: Table[Any], caption: str) -> Iterator[str]:
    """A table of one or two levels, its rows by the first field."""
    names = [path.rpartition(".")[2] for path in table.by]
    yield from _wrapped(f"{caption}, by {listed(names, 'and')}:", "  ")
    if len(names) == 1:
        yield f"    {'   '.join(f'{key}: {_cell(value)}' for key, value in table.rows.items())}"
        return
    columns = list(dict.fromkeys(key for row in table.rows.values() for key in row))
    rows = [("", *columns)]
    rows += [(key, *(_cell(row.get(column, "-")) for column in columns)) for key, row in table.rows.items()]
    for row in rows:
        yield "    " + "".join(text.rjust(13) if place else text.rjust(4) for place, text in enumerate(row))


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "-".join(f"{one:g}" for one in value)
    return str(value)


# -- JSON


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "models": entry.ids,
        "status": entry.status,
        "kinds": entry.kinds,
        "fields": {path: _field_json(field) for path, field in entry.fields.items()},
        "rules": [{"id": rule.id, "level": _level(rule), "text": rule_in_words(rule)} for rule in entry.rules],
        "price": _price_json(entry.price),
        "typical": " ".join(line.strip() for line in _times(entry)) or None,
        "notes": entry.notes,
        "quirks": entry.quirks,
        "source": entry.source,
        "example": example_of(entry),
    }


def _level(rule: Rule) -> str:
    return "warning" if rule.warning else "error"


def _field_json(field: Field) -> dict[str, Any]:
    told: dict[str, Any] = {"type": field.type, "required": field.required, "values": list(field.enum) or None}
    told |= {
        name: getattr(field, name) for name in ("min", "max", "min_length", "max_length", "min_items", "max_items")
    }
    told["default"] = None if field.default is MISSING else field.default
    told["media"] = field.media.forms if field.media else None
    told["note"] = field.note or None
    return {name: value for name, value in told.items() if value is not None}


def _price_json(price: Price) -> dict[str, Any] | None:
    if not price.cases:
        return None
    cases = [
        {
            "when": _conditions(case.when),
            "unit": case.unit,
            "amount": case.amount,
            "table": case.table and {"by": case.table.by, "rows": case.table.rows},
        }
        for case in price.cases
    ]
    extra = [{"when": _conditions(one.when), "unit": "per_video", "amount": one.amount} for one in price.surcharges]
    return {
        "currency": price.currency,
        "as_of": price.as_of,
        "origin": price.origin,
        "cases": cases,
        "surcharges": extra,
    }
