"""Quotes by the thousand: requests that are alike in everything the price depends on share one estimate."""

import math
from collections.abc import Iterable, Iterator, Mapping
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
from pipeline.core.jobs import DECIDING_TIME, Job
from pipeline.core.money import Actual, Quote, micro, micro_at_most

_MOST = 10_000
"""Quotes, and what attempts came to, that are remembered: nobody knows how many kinds of rows a manifest brings."""
_DEAREST = Decimal(1_000_000)
"""Of any currency, for one attempt: no task costs as much, and so many of them still fit into the ledger's sums."""
_FREE = Decimal(0)
_SIZE = "parameters.size"
_NO_ENTRY = "the catalog does not have this request"
_UNTOLD = Actual()


class _Looks(Struct, frozen=True):
    """What the quotes of one model look at."""

    parameters: frozenset[str]
    """Those whose values count."""
    values: tuple[str, ...]
    """Paths elsewhere whose values count."""
    presence: tuple[str, ...]
    """Paths of which it counts only whether they are given."""


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
        key = self._key(job)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            found = self._known[key] = self._quote(job)
        return found

    def actual(self, job: Job, usage: Mapping[str, Any]) -> Actual:
        """What an attempt of the job came to, by the usage that the service reports for a task that succeeded."""
        if not usage:
            return _UNTOLD
        key = (repr(usage), *self._key(job))
        found = self._came_to.get(key)
        if found is None:
            if len(self._came_to) >= _MOST:
                self._came_to.clear()
            found = self._came_to[key] = self._actual(job, usage)
        return found

    def _quote(self, job: Job) -> Quote:
        request = _request(job)
        entry = self._catalog.entry_for(job.model, request)
        return Quote(job.kind, job.model, note=_NO_ENTRY) if entry is None else _quote(entry, job, request)

    def _actual(self, job: Job, usage: Mapping[str, Any]) -> Actual:
        request = _request(job)
        entry = self._catalog.entry_for(job.model, request)
        return _UNTOLD if entry is None else _actual(entry, request, usage)

    def _key(self, job: Job) -> tuple[str, ...]:
        """Equal for jobs of which a quote sees no difference."""
        looks = self._looks.get(job.model)
        if looks is None:
            if len(self._looks) >= _MOST:
                self._looks.clear()
            looks = self._looks[job.model] = _looks_of(self._catalog.entries_of(job.model))
        given = job.parameters
        if not given.keys() <= looks.parameters:
            given = {name: value for name, value in given.items() if name in looks.parameters}
        if not looks.values and not looks.presence:
            return job.model, repr(given)
        request = _request(job)
        values = (repr(lookup(request, path)) for path in looks.values)
        presence = ("y" if is_given(request, path) else "n" for path in looks.presence)
        return (job.model, repr(given), *values, *presence)


def _request(job: Job) -> dict[str, Any]:
    return {"model": job.model, "input": job.input, "parameters": job.parameters}


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


def _looks_of(entries: Iterable[Entry]) -> _Looks:
    """The paths behind the estimates of a model's entries, and behind the choice of one of them.

    What decides is prices and times, the rules that bind what may be left open, and what names a kind of jobs.
    """
    values = {DURATION, RESOLUTION, _SIZE, *(f"parameters.{name}" for name in DECIDING_TIME)}
    presence = set[str]()
    for entry in entries:
        for price in entry.price.cases:
            values.update(price.table.by if price.table else ())
        for time in entry.typical:
            values.update(time.table.by if time.table else ())
        for condition in _conditions(entry):
            (presence if condition.test == "present" else values).add(condition.path)
        for rule in _binding(entry):
            (values if rule.check or rule.bounds else presence).update(rule.paths)
            values.update(rule.bounds)
    values.discard("model")  # which everything is looked up by
    parameters = {path for path in values if path.startswith("parameters.") and path.count(".") == 1}
    return _Looks(
        frozenset(path.partition(".")[2] for path in parameters),
        tuple(sorted(values - parameters)),
        tuple(sorted(presence - values)),
    )


def _conditions(entry: Entry) -> Iterator[Condition]:
    yield from (one for alternative in entry.selector for one in alternative)
    yield from (one for case in entry.price.cases for one in case.when)
    yield from (one for surcharge in entry.price.surcharges for one in surcharge.when)
    yield from (one for case in entry.typical for one in case.when)
    yield from (one for rule in _binding(entry) for one in rule.when)


def _binding(entry: Entry) -> list[Rule]:
    return [rule for rule in entry.rules if not rule.warning and _about(rule) & entry.price.paths]


def _about(rule: Rule) -> set[str]:
    return {*rule.paths, *(condition.path for condition in rule.when)}
