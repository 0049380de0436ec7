"""Quotes by the thousand: requests that are alike in everything the price depends on share one estimate."""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pipeline.catalog.catalog import Catalog
from pipeline.catalog.conditions import MISSING, Condition, is_given, lookup
from pipeline.catalog.entry import Entry, Rule
from pipeline.catalog.pricing import (
    DURATION,
    LONGEST_VIDEO,
    RESOLUTION,
    Estimate,
    actual_cost,
    estimate,
    video_seconds,
)
from pipeline.core.jobs import KIND_PARAMETERS, Job
from pipeline.core.money import Actual, Quote, micro, micro_at_most

_MOST = 10_000
"""Quotes, and what attempts came to, that are remembered: nobody knows how many kinds of rows a manifest brings."""
_DEAREST = Decimal(1_000_000)
"""Of any currency, for one attempt: no task costs as much, and so many of them still fit into the ledger's sums."""
_FREE = Decimal(0)
_PARAMETERS = "parameters."
_SIZE = "parameters.size"
_NO_ENTRY = "the catalog does not have this request"


class _Looks(Struct, frozen=True):
    """What a quote looks at."""

    parameters: tuple[str, ...]
    """Names; most of what it looks at stands there."""
    values: tuple[str, ...]
    """Paths to what stands elsewhere."""
    presence: tuple[str, ...]


class Quoter:
    """Quotes by one catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._looks: dict[str, _Looks] = {}
        self._known: dict[tuple[str, ...], Quote] = {}
        self._came_to: dict[tuple[str, ...], Actual] = {}

    @property
    def as_of(self) -> str:
        """The day of the prices, to be shown beside them."""
        return self._catalog.prices_as_of

    def quote(self, job: Job) -> Quote:
        """What one attempt of the job costs."""
        request = {"model": job.model, "input": job.input, "parameters": job.parameters}
        entry = self._catalog.entry_for(job.model, request)
        if entry is None:
            return Quote(job.kind, job.model, note=_NO_ENTRY)
        key = self._key(entry, job, request)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            found = self._known[key] = _quote(entry, job, request)
        return found

    def actual(self, job: Job, usage: Mapping[str, Any]) -> Actual:
        """What an attempt of the job came to, by the usage that the service reports for a task that succeeded."""
        request = {"model": job.model, "input": job.input, "parameters": job.parameters}
        entry = self._catalog.entry_for(job.model, request) if usage else None
        if entry is None:
            return Actual()
        key = (*self._key(entry, job, request), repr(usage))
        found = self._came_to.get(key)
        if found is None:
            if len(self._came_to) >= _MOST:
                self._came_to.clear()
            found = self._came_to[key] = _actual(entry, request, usage)
        return found

    def _key(self, entry: Entry, job: Job, request: Mapping[str, Any]) -> tuple[str, ...]:
        looks = self._looks.get(entry.key)
        if looks is None:
            looks = self._looks[entry.key] = _looks_of(entry)
        given = job.parameters
        parameters = [repr(given.get(name, MISSING)) for name in looks.parameters]
        values = [repr(lookup(request, path)) for path in looks.values] if looks.values else ()
        presence = ["y" if is_given(request, path) else "n" for path in looks.presence] if looks.presence else ()
        return (entry.key, job.model, *parameters, *values, *presence)


def _quote(entry: Entry, job: Job, request: Mapping[str, Any]) -> Quote:
    made = _believed(estimate(entry, request))
    shape = (entry.value_at(request, path) for path in (RESOLUTION, _SIZE))
    return Quote(
        kind=job.kind,
        model=job.model,
        resolution=next((str(value) for value in shape if value is not MISSING and value is not None), None),
        seconds=_thousandths(made.seconds),
        longest=_thousandths(_longest(entry, request)),
        currency="" if made.expected is None and made.worst is None else made.currency,
        expected=None if made.expected is None else micro(made.expected),
        worst=None if made.worst is None else micro_at_most(made.worst),
        takes=entry.typical_seconds_for(request),
        note=made.note,
    )


def _actual(entry: Entry, request: Mapping[str, Any], usage: Mapping[str, Any]) -> Actual:
    cost, seconds = actual_cost(entry, request, usage), video_seconds(entry, request, usage)
    if cost is None or cost > _DEAREST:
        return Actual(None, _thousandths(seconds))
    return Actual(micro_at_most(cost), _thousandths(seconds), entry.price.currency)


def _believed(made: Estimate) -> Estimate:
    """The estimate, its price unknown where it is beyond all reason."""
    if max(made.expected or _FREE, made.worst or _FREE) <= _DEAREST:
        return made
    return replace(made, expected=None, worst=None, note=f"the price comes to more than {_DEAREST:,}, which is a slip")


def _longest(entry: Entry, request: Mapping[str, Any]) -> Decimal | None:
    """The most seconds of video that the request may come to."""
    given, described = entry.value_at(request, DURATION), entry.field_at(DURATION)
    if described is not None and not _is_length(given):  # left open, or left to the model by a number such as -1
        given = max(described.enum, default=described.max)
    return Decimal(str(given)) if _is_length(given) else None


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _thousandths(seconds: Decimal | None) -> int | None:
    """Rounded up; None where no video is as long."""
    return None if seconds is None or seconds > LONGEST_VIDEO else math.ceil(seconds * 1000)


def _looks_of(entry: Entry) -> _Looks:
    """The paths behind an estimate: of its kind, prices and times, and of the rules that bind what may be left open."""
    values, presence = {DURATION, RESOLUTION, _SIZE}, set[str]()
    values.update(f"{_PARAMETERS}{name}" for name in KIND_PARAMETERS)
    for price in entry.price.cases:
        values.update(price.table.by if price.table else ())
    for time in entry.typical:
        values.update(time.table.by if time.table else ())
    for condition in _conditions(entry):
        (presence if condition.test == "present" else values).add(condition.path)
    for rule in _binding(entry):
        (values if rule.check or rule.bounds else presence).update(rule.paths)
        values.update(rule.bounds)
    parameters = {path for path in values if path.startswith(_PARAMETERS) and path.count(".") == 1}
    names = sorted(path.removeprefix(_PARAMETERS) for path in parameters)
    return _Looks(tuple(names), tuple(sorted(values - parameters)), tuple(sorted(presence - values)))


def _conditions(entry: Entry) -> Iterator[Condition]:
    yield from (one for case in entry.price.cases for one in case.when)
    yield from (one for surcharge in entry.price.surcharges for one in surcharge.when)
    yield from (one for case in entry.typical for one in case.when)
    yield from (one for rule in _binding(entry) for one in rule.when)


def _binding(entry: Entry) -> list[Rule]:
    return [rule for rule in entry.rules if not rule.warning and _about(rule) & entry.price.paths]


def _about(rule: Rule) -> set[str]:
    return {*rule.paths, *(condition.path for condition in rule.when)}
