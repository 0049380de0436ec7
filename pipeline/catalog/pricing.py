"""What a request costs: the estimate before it is bought, and the cost by the usage that the service reports.

Money is decimal throughout, and a price that is not known is None and never zero.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from pipeline.catalog.conditions import MISSING, lookup
from pipeline.catalog.entry import Entry, Field, Rule
from pipeline.catalog.rules import check_rules
from pipeline.catalog.tariff import PriceCase
from pipeline.catalog.wording import listed, shown

DURATION, RESOLUTION = "parameters.duration", "parameters.resolution"
TOKEN_MARGIN = Decimal("0.1")
"""How far above an inferred count of tokens the worst case lies: its pixel counts are nominal."""
LONGEST_VIDEO = 86_400
"""Seconds; no model makes a longer one, whatever the service or a request says."""
_MILLION = Decimal(1_000_000)
_BLOCK = Decimal(5)
_MOST_VALUES = 1000
"""Values of an omitted field that are tried for the most expensive one."""


class Estimate(Struct, frozen=True):
    """What one request will cost, as far as it is known before it is bought."""

    expected: Decimal | None
    """With assumed values where fields are omitted and no default is documented; None where no price is known."""
    worst: Decimal | None
    """With the most expensive values for these; None where no upper bound is known."""
    currency: str
    seconds: Decimal | None = None
    """Of video, expected; None where the request does not say."""
    note: str | None = None
    """Why an amount is unknown, or what was assumed."""


class _Quote(Struct, frozen=True):
    """The price of a request without open fields."""

    amount: Decimal | None
    seconds: Decimal | None
    note: str | None = None
    margin: Decimal = Decimal(0)
    """Part of the amount that the worst case may add."""


def estimate(entry: Entry, request: Mapping[str, Any]) -> Estimate:
    """The price of `{"model": …, "input": {…}, "parameters": {…}}`, a request that the entry accepts."""
    left_open = _open_fields(entry, request)
    likely = _quote(entry, _with(request, {path: field.assumed_default for path, field in left_open.items()}))
    quotes = [_quote(entry, one) for one in _variants(entry, request, left_open)] if left_open else [likely]
    amounts = [one.amount * (1 + one.margin) for one in quotes if one.amount is not None]
    worst = max(amounts) if amounts and len(amounts) == len(quotes) else None
    note = likely.note
    if left_open and likely.amount is not None and worst != likely.amount:
        note = f"{listed(left_open, 'and')} not given; assumed {_assumed(left_open)}, at worst the most expensive"
    return Estimate(likely.amount, worst, entry.price.currency, likely.seconds, note)


def actual_cost(entry: Entry, request: Mapping[str, Any], usage: Mapping[str, Any]) -> Decimal | None:
    """The price by what the service says it made (`usage` of the status answer); None where that does not tell.

    Seconds come from `usage.duration`, tokens from `usage.completion_tokens`; a price of one video needs neither. A
    finished video without any of them is not believed: it would make room in a budget for ever more.
    """
    left_open = _open_fields(entry, request)
    completed = _with(request, {path: field.assumed_default for path, field in left_open.items()})
    case = _case_of(entry, completed)
    if case is None:
        return None
    rate = _rate(entry, case, completed)
    counted = _counted(entry, case, usage)
    if rate is None or counted is None:
        return None
    return rate * counted + _surcharges(entry, completed)


def video_seconds(entry: Entry, request: Mapping[str, Any], usage: Mapping[str, Any]) -> Decimal | None:
    """The length of the finished video, as the service says it; None where it does not."""
    seconds, case = _counted_by_service(usage, "duration"), _case_of(entry, request)
    told = seconds is not None and (case is None or _is_length(entry, case, seconds))
    return seconds if told else None


# -- the price of a request without open fields


def _quote(entry: Entry, request: Mapping[str, Any]) -> _Quote:
    seconds = _decimal(entry.value_at(request, DURATION)) or None  # zero is a length that the model chooses
    case = _case_of(entry, request)
    if case is None:
        return _Quote(None, seconds, _why_unpriced(entry, request))
    if case.seconds_from is not None:
        what = "the clip to edit" if case.seconds_from == "input_video" else "the finished video"
        return _Quote(None, None, f"priced by the length of {what}, which the request does not say")
    rate = _rate(entry, case, request)
    if rate is None:
        return _Quote(None, seconds, _why_unpriced(entry, request))
    extra = _surcharges(entry, request)
    if case.unit == "per_video":
        return _Quote(rate + extra, seconds)
    if case.unit == "per_million_tokens":
        return _by_tokens(entry, request, rate, extra, seconds)
    if seconds is None:
        return _Quote(None, None, f"priced by the second, and {DURATION} is not given")
    counted = seconds if case.unit == "per_second" else _blocks(seconds)
    return _Quote(rate * counted + extra, seconds)


def _by_tokens(
    entry: Entry, request: Mapping[str, Any], rate: Decimal, extra: Decimal, seconds: Decimal | None
) -> _Quote:
    known = entry.price.tokens
    pixels = known.pixels.get(str(entry.value_at(request, RESOLUTION))) if known else None
    if known is None or pixels is None or seconds is None:
        return _Quote(None, seconds, "priced by tokens, which only the service counts")
    tokens = Decimal(pixels) * (24 * seconds + 1) / 1024
    amount = rate * tokens / _MILLION + extra
    return _Quote(amount, seconds, f"priced by tokens; their number is {known.confidence}", TOKEN_MARGIN)


def _case_of(entry: Entry, request: Mapping[str, Any]) -> PriceCase | None:
    return next((case for case in entry.price.cases if entry.all_hold(case.when, request)), None)


def _rate(entry: Entry, case: PriceCase, request: Mapping[str, Any]) -> Decimal | None:
    if case.table is None:
        return case.amount
    return case.table.at(tuple(entry.value_at(request, path) for path in case.table.by))


def _surcharges(entry: Entry, request: Mapping[str, Any]) -> Decimal:
    holding = (one for one in entry.price.surcharges if entry.all_hold(one.when, request))
    return sum((one.amount for one in holding), Decimal(0))


def _why_unpriced(entry: Entry, request: Mapping[str, Any]) -> str:
    if not entry.price.cases:
        return "no price is published for this model"
    said = [
        f"{path}: {shown(value)}"
        for path in sorted(entry.price.paths - {"model"})
        if not isinstance(value := entry.value_at(request, path), list | dict) and value is not MISSING
    ]
    return f"the price list has no row for {listed(said, 'and')}" if said else "the price list has no row for this"


# -- what the service counted


def _counted(entry: Entry, case: PriceCase, usage: Mapping[str, Any]) -> Decimal | None:
    """How many units of the price the usage comes to."""
    if case.unit == "per_video":
        return Decimal(1)
    if case.unit == "per_million_tokens":
        tokens = _counted_by_service(usage, "completion_tokens")
        return None if tokens is None else tokens / _MILLION
    seconds = _counted_by_service(usage, "duration")
    if seconds is None or not _is_length(entry, case, seconds):
        return None
    if case.seconds_from == "input_video":
        seconds = Decimal(math.floor(seconds + Decimal("0.5")))  # documented: rounded to whole seconds
    return seconds if case.unit == "per_second" else _blocks(seconds)


def _counted_by_service(usage: Mapping[str, Any], name: str) -> Decimal | None:
    """A number of the usage; None where it is none, or zero."""
    return _decimal(usage.get(name)) or None


def _is_length(entry: Entry, case: PriceCase, seconds: Decimal) -> bool:
    """Whether the number can be a video's length: some pages call `usage.duration` the time that the task took."""
    described = entry.field_at(DURATION)
    if case.seconds_from is not None or described is None:
        return seconds <= LONGEST_VIDEO
    longest = max(described.enum, default=described.max)
    return seconds <= (LONGEST_VIDEO if longest is None else Decimal(str(longest)) + 1)


def _blocks(seconds: Decimal) -> Decimal:
    """Started blocks of five seconds."""
    return Decimal(math.ceil(seconds / _BLOCK))


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(str(value))
    return number if number.is_finite() and number >= 0 else None


# -- fields that are left open


def _open_fields(entry: Entry, request: Mapping[str, Any]) -> dict[str, Field]:
    """Omitted fields that the price depends on and whose default no document says."""
    found = {}
    for path in sorted(entry.price.paths):
        described = entry.field_at(path)
        if described and described.assumed_default is not MISSING and lookup(request, path) is MISSING:
            found[path] = described
    return found


def _variants(entry: Entry, request: Mapping[str, Any], left_open: Mapping[str, Field]) -> list[Mapping[str, Any]]:
    """The request with every value that the open fields may have, as far as the entry's rules allow it."""
    choices = itertools.product(*(_values(field) for field in left_open.values()))
    made = [_with(request, dict(zip(left_open, values, strict=True))) for values in choices]
    if not any(_binds(rule, left_open) for rule in entry.rules):
        return made
    before = _broken(entry, request)
    return [one for one in made if _broken(entry, one) <= before] or made


def _binds(rule: Rule, left_open: Mapping[str, Field]) -> bool:
    """Whether the rule may refuse some value of an open field."""
    return not rule.warning and any(path in left_open for path in (*rule.paths, *(one.path for one in rule.when)))


def _broken(entry: Entry, request: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset((one.path, one.message) for one in check_rules(entry, request) if not one.warning)


def _values(described: Field) -> Iterator[Any]:
    if described.enum:
        yield from described.enum
    elif described.type == "boolean":
        yield from (False, True)
    elif described.min is not None and described.max is not None and described.max - described.min < _MOST_VALUES:
        yield from range(int(described.min), int(described.max) + 1)
    else:
        yield described.assumed_default


def _with(request: Mapping[str, Any], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request with other values at paths such as `parameters.duration`."""
    made = dict(request)
    for path, value in values.items():
        section, _, name = path.partition(".")
        made[section] = {**made.get(section, {}), name: value}
    return made


def _assumed(left_open: Mapping[str, Field]) -> str:
    return listed([str(field.assumed_default) for field in left_open.values()], "and")
