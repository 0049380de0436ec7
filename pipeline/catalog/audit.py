"""What cannot be right in a written entry beyond the types of its members: names that lead nowhere, double tests."""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, get_args

from msgspec import UNSET

from pipeline.catalog.entry import Verb
from pipeline.catalog.wording import did_you_mean, json_type, listed, plain, shown
from pipeline.catalog.written import (
    ConditionRow,
    EntryRow,
    FieldRow,
    PriceCaseRow,
    PriceRow,
    RuleRow,
    SecondsCaseRow,
    Span,
)

Complaint = tuple[str, str | None, str]
"""The member of the entry, the `path` or `id` of the row in it, and the sentence."""

_VERBS = get_args(Verb)
_TESTS = ("equals", "among", "present", "any_item", "none_item")
_DEAREST = 1_000_000
"""Of any currency, for one unit; what costs more is a slip."""
_LONGEST = 1_000_000
"""Seconds that a task may typically take."""
_MOST_ASKED_FOR = 1000
"""Characters or items that a value may have to have at least: an example has as many."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,1000}[\x21-\x7e])?")
_OUR_HEADERS = (
    "authorization",
    "host",
    "connection",
    "transfer-encoding",
    "expect",
    "upgrade",
    "te",
    "trailer",
    "cookie",
)
"""Not a catalog's to set, nor is any that begins with `content-`, `accept` or `proxy-`."""


def complaints_about_entry(entry: EntryRow, limits: frozenset[str]) -> Iterator[Complaint]:
    """Everything that is wrong; `limits` are the names that `media.limits` may have."""
    if not entry.ids:
        yield "key", None, "there is no entry of this key to change; a new one needs ids, inputs and parameters"
        return
    for section, rows in (("inputs", entry.inputs), ("parameters", entry.parameters)):
        for row in rows:
            for message in _about_field(section, row, limits):
                yield section, row.path, f"{row.path or 'a field'}: {message}"
    known = _paths(entry)
    for alternative in entry.selector:
        for message in _about_conditions(alternative, known, elsewhere=True):
            yield "selector", None, message
    for rule in entry.rules:
        for message in _about_rule(rule, known):
            yield "rules", rule.id, f"rule {plain(rule.id)}: {message}"
    for message in _about_headers(entry.headers):
        yield "headers", None, f"headers: {message}"
    for message in _about_price(entry.price, known):
        yield "price", None, f"price: {message}"
    for message in _about_seconds(entry, known):
        yield "typical_seconds", None, f"typical_seconds: {message}"
    if entry.idempotency and entry.idempotency.field not in known:
        yield "idempotency", None, f"idempotency: {_nowhere(entry.idempotency.field, known)}"


def _paths(entry: EntryRow) -> frozenset[str]:
    """Every path that a rule may name: fields, and fields of objects."""
    found = {"model"}
    for row in (*entry.inputs, *entry.parameters):
        found |= {str(row.path), *(f"{row.path}.{inner.name}" for inner in row.fields)}
    return frozenset(found)


def _nowhere(path: str, known: Iterable[str]) -> str:
    return f"{path} is no field of the entry{did_you_mean(path, known)}"


# -- fields


def _about_field(section: str, row: FieldRow, limits: frozenset[str]) -> Iterator[str]:
    prefix = "input" if section == "inputs" else "parameters"
    if not row.path or not row.path.startswith(f"{prefix}."):
        yield f"a field of {section} needs a path that begins with {prefix}."
    yield from _about_values(row)
    inner = [*row.fields]
    if row.items:
        inner += [*row.items.fields, *(one for rows in row.items.variants.values() for one in rows)]
    for one in inner:
        if not one.name:
            yield "a field inside it has no name"
        for message in _about_values(one):
            yield f"{one.name}: {message}"
    if row.media and row.media.limits is not None and row.media.limits not in limits:
        yield f"media_limits has no {plain(row.media.limits)}{did_you_mean(row.media.limits, limits)}"


def _about_values(row: FieldRow) -> Iterator[str]:
    allowed = row.enum if row.const is UNSET else [row.const]
    for value in allowed:
        if not _fits(row, value):
            yield f"{shown(value)} is among its values, but its type is {row.type}; put text in quotes, numbers without"
    for word, value in (("default", row.default), ("assumed_default", row.assumed_default)):
        if value is not UNSET and not (_fits(row, value) and (not allowed or value in allowed)):
            yield f"its {word} {shown(value)} is not among what it allows"
    for low, high in (("min", "max"), ("min_length", "max_length"), ("min_items", "max_items")):
        least, most = getattr(row, low), getattr(row, high)
        if least is not None and most is not None and least > most:
            yield f"its {low} {least} is above its {high} {most}"
    for word in ("min_length", "min_items"):
        if not 0 <= (getattr(row, word) or 0) <= _MOST_ASKED_FOR:
            yield f"its {word} must be a number from 0 to {_MOST_ASKED_FOR:,}"


def _fits(row: FieldRow, value: Any) -> bool:
    kind = json_type(value)
    wanted = {"string": ("text",), "number": ("integer", "number")}.get(row.type, (row.type,))
    return kind in wanted


# -- rules


def _about_conditions(rows: Iterable[ConditionRow], known: frozenset[str], *, elsewhere: bool = False) -> Iterator[str]:
    """A selector may also look at what only another shape of the same model has."""
    for row in rows:
        tests = [name for name in _TESTS if getattr(row, name) is not UNSET]
        if len(tests) != 1:
            yield f"the condition on {row.path} needs exactly one of {listed(['equals', 'in', *_TESTS[2:]])}"
        elif row.among is not UNSET and not isinstance(row.among, list):
            yield f"in: of the condition on {row.path} must be a list"
        if row.path not in known and not elsewhere:
            yield _nowhere(row.path, known)


def _about_rule(row: RuleRow, known: frozenset[str]) -> Iterator[str]:
    verbs = [verb for verb in _VERBS if getattr(row, verb) is not None]
    if len(verbs) != 1:
        yield f"it needs exactly one verb: {listed(_VERBS)}"
        return
    yield from _about_conditions(row.when, known)
    operand = getattr(row, verbs[0])
    for path in operand if isinstance(operand, list | dict) else ():
        if path not in known:
            yield _nowhere(path, known)
    if row.fire is False:
        yield "fire can only be true"


# -- headers, prices and times


def _about_headers(headers: Mapping[str, str]) -> Iterator[str]:
    """A catalog may ask for what a model wants, and not for who asks, where, or how the bytes travel."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            yield f"{shown(name)}: {shown(value)} cannot be sent as a header"
        elif name.lower() in _OUR_HEADERS or name.lower().startswith(("content-", "accept", "proxy-")):
            yield f"{plain(name)} is not a catalog's to set"


def _about_price(row: PriceRow, known: frozenset[str]) -> Iterator[str]:
    for case in row.cases:
        yield from _about_case(case, known)
        if case.unit == "per_million_tokens" and row.token_estimate is None:
            yield "a price by tokens needs token_estimate"
    for extra in row.surcharges:
        yield from _about_conditions(extra.when, known)
        yield from _about_amounts([extra.amount])


def _about_case(case: PriceCaseRow, known: frozenset[str]) -> Iterator[str]:
    yield from _about_conditions(case.when, known)
    yield from _about_amounts(_amounts(case))
    if (case.amount is None) == (case.table is None):
        yield "a case needs either an amount or a table"
    if case.table:
        yield from _about_table(case.table.by, case.table.rows, known)
    by_time = case.unit in ("per_second", "per_5_seconds") and case.seconds_from is None
    if by_time and "parameters.duration" not in known:
        yield f"{case.unit} needs a field parameters.duration, or seconds_from"


def _about_amounts(amounts: Iterable[Decimal]) -> Iterator[str]:
    if not all(amount.is_finite() and 0 <= amount <= _DEAREST for amount in amounts):
        yield f"an amount is negative, no number, or more than {_DEAREST:,}"


def _amounts(case: PriceCaseRow) -> Iterator[Decimal]:
    if case.amount is not None:
        yield case.amount
    for row in case.table.rows.values() if case.table else ():
        yield from row.values() if isinstance(row, dict) else [row]


def _about_table(by: list[str], rows: dict[str, Any], known: frozenset[str]) -> Iterator[str]:
    yield from (_nowhere(path, known) for path in by if path not in known)
    if any(isinstance(row, dict) != (len(by) == 2) for row in rows.values()):
        yield f"the rows of a table by {listed(by, 'and')} need {len(by)} level{'s' * (len(by) > 1)} of names"


def _about_seconds(entry: EntryRow, known: frozenset[str]) -> Iterator[str]:
    for case in entry.typical_seconds.cases if entry.typical_seconds else ():
        yield from _about_conditions(case.when, known)
        if (case.seconds is None) == (case.table is None):
            yield "a case needs either seconds or a table"
        if not all(0 < seconds <= _LONGEST for seconds in _seconds(case)):
            yield f"seconds must be more than 0 and at most {_LONGEST:,}"
        if case.table:
            yield from _about_table(case.table.by, case.table.rows, known)


def _seconds(case: SecondsCaseRow) -> Iterator[float]:
    spans: list[Span] = [] if case.seconds is None else [case.seconds]
    for row in case.table.rows.values() if case.table else ():
        spans += row.values() if isinstance(row, dict) else [row]
    for one in spans:
        yield from one if isinstance(one, tuple) else (one,)
