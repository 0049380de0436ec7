"""What a run would do and cost, for people at eighty columns and for scripts; and the first lines of a run. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from pipeline.core.jobs import JobState
from pipeline.core.money import Quote, Spending, exact, shown_amount
from pipeline.engine.figures import Figures, Sum
from pipeline.views.spending import spending_facts, spending_lines
from pipeline.views.text import cells, cut, folded, many, printable, span

if TYPE_CHECKING:  # a plan hears no events, and a run says its first lines without a plan
    from pipeline.core.events import BatchPriced
    from pipeline.ledger import ChangedJob
    from pipeline.plan import Disk, Plan, Time

_WIDTH = 79
_MODEL, _SHAPE, _JOBS, _VIDEO, _EACH, _ALL = 24, 14, 7, 11, 6, 10  # with a blank between them, as wide
_NOTED = 5
_MOST_LINES = 100
_SHOWN_FIELDS = 5
_COLLECTED = (JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING)


# -- a plan, for people ------------------------------------------------------------------------------------------------


def plan_lines(plan: "Plan") -> list[str]:
    """The whole plan. Only a name or an amount that is too long for a column makes a line of more than 79 cells."""
    return [
        f"{printable(plan.manifest)} into {printable(plan.folder)}",
        *_rows(plan),
        *_all_folded(_changed(plan)),
        *_to_submit(plan),
        *_all_folded((*_outlook(plan), *_spent(plan), *_caps(plan), *_verdict(plan))),
    ]


def _all_folded(lines: Iterable[str]) -> Iterator[str]:
    yield from (part for line in lines for part in folded(line, _WIDTH))


def _rows(plan: "Plan") -> Iterator[str]:
    rows = plan.rows
    said = (
        (rows.new, "new"),
        (rows.changed, "changed since they were enrolled"),
        (rows.waiting, "enrolled before, not bought yet"),
        (rows.in_flight, "in flight: paid for, collected first"),
        (rows.done, "done"),
        (rows.failed, "failed"),
        (rows.unknown, "unknown: may be paid for, a person decides"),
    )
    for number, words in said:
        if number:
            yield f"{number:>9,} {words}"
    left = {state: number for state, number in plan.left.items() if number > 0}
    if left:
        kinds = ", ".join(f"{number:,} {state}" for state, number in left.items())
        yield f"{sum(left.values()):>9,} no longer in the manifest: {kinds}"
        waiting = left.get(JobState.QUEUED, 0)
        if waiting:
            yield f"{'':>10}(the {waiting:,} queued would still be bought; --select chooses)"
        if any(left.get(state) for state in _COLLECTED):
            yield f"{'':>10}(what is in flight is collected all the same)"


def _changed(plan: "Plan") -> Iterator[str]:
    if not plan.rows.changed:
        return
    yield "changed:"
    for job in plan.changed:
        yield from _changed_job(job)
    if plan.rows.changed > len(plan.changed):
        yield f"  … and {plan.rows.changed - len(plan.changed):,} more"
    yield {
        "error": "  a run stops here; --on-changed keep leaves these jobs, rerun buys them anew",
        "keep": "  --on-changed keep: these jobs stay as they were enrolled",
        "rerun": "  --on-changed rerun: these jobs are bought anew, but for those in flight",
    }[plan.on_changed]


def _changed_job(job: "ChangedJob") -> Iterator[str]:
    yield f"  {printable(job.source.file)}:{job.source.line}: {job.job_id} ({job.state}):"
    yield f"    {', '.join(map(printable, job.differs[:_SHOWN_FIELDS]))}"


def _to_submit(plan: "Plan") -> Iterator[str]:
    figures = plan.to_submit
    yield f"to submit: {many(figures.jobs, 'job')}"
    if figures.jobs:
        yield from _table(figures)
    parts = (
        (plan.retried, "of them failed before (--retry-failed)"),
        (plan.resubmitted, "of them unknown, some may be paid twice (--resubmit-unknown)"),
        (plan.beyond_limit, f"more {_either(plan.beyond_limit, 'waits', 'wait')} for another run (--limit)"),
        (plan.not_selected, f"more {_either(plan.not_selected, 'is', 'are')} not selected (--select)"),
        (
            plan.fetched_again,
            f"failed at {_either(plan.fetched_again, 'its', 'their')} download: fetched again, unpaid",
        ),
    )
    for number, words in parts:
        if number:
            yield f"{number:>9,} {words}"
    if plan.may_be_retried and not plan.retried:
        yield f"  --retry-failed would buy the {'other ' * bool(plan.fetched_again)}failed ones again"
    if plan.rows.unknown and not plan.resubmitted:
        yield "  --resubmit-unknown would buy the unknown ones again"


def _either(number: int, one: str, more: str) -> str:
    return one if number == 1 else more


def _table(figures: Figures) -> Iterator[str]:
    """One line for each model, resolution and length; what has no known price says so."""
    yield _line("model", "video", "jobs", "length", "each", "expected")
    groups = _groups(figures.counts)
    several = len({quote.currency for quote in groups if quote.currency}) > 1
    for quote, number in islice(groups.items(), _MOST_LINES):
        length = None if quote.seconds is None else _length(quote.seconds * number / 1000)
        priced = quote.expected is not None
        currency = f" {quote.currency}" if several and priced else ""
        each = shown_amount(quote.expected) if quote.expected is not None else "?"
        whole = shown_amount(quote.expected * number) + currency if quote.expected is not None else "unknown"
        yield _line(printable(quote.model), _shape(quote), f"{number:,}", length or "?", each, whole)
    if len(groups) > _MOST_LINES:
        yield f"  … and {many(len(groups) - _MOST_LINES, 'kind')} more (--json has them all)"
    notes = dict.fromkeys(quote.note for quote in groups if quote.note)
    yield from _all_folded((*_price_lines(figures), *(f"  {printable(note)}" for note in list(notes)[:_NOTED])))


def _line(model: str, shape: str, jobs: str, video: str, each: str, whole: str) -> str:
    name = model if cells(model) <= _MODEL else f"{model[:8]}…{model[9 - _MODEL :]}"  # the end tells siblings apart
    left = f"  {name}{' ' * (_MODEL - cells(name))} {shape}{' ' * (_SHAPE - cells(shape))}"
    return f"{left} {jobs:>{_JOBS}} {video:>{_VIDEO}} {each:>{_EACH}} {whole:>{_ALL}}"


def _length(seconds: float) -> str:
    """Of all videos of a line; hours alone where there are any, so that it fits."""
    return span(seconds) if seconds < 3600 else f"{seconds / 3600:,.1f} h"


def _groups(counts: Mapping[Quote, int]) -> dict[Quote, int]:
    """Kinds that look the same in the table are one line of it."""
    found: dict[tuple[object, ...], tuple[Quote, int]] = {}
    for quote, number in counts.items():
        key = (quote.model, quote.resolution, quote.seconds, quote.currency, quote.expected, quote.worst)
        first, before = found.get(key, (quote, 0))
        found[key] = first, before + number
    return dict(sorted(found.values(), key=lambda item: (item[0].model, item[0].resolution or "")))


def _shape(quote: Quote) -> str:
    length = None if quote.seconds is None else f"{quote.seconds / 1000:g} s"
    resolution = printable(quote.resolution or "")
    parts = [part for part in (cut(resolution, _SHAPE - len(length or "") - 1), length) if part]
    said = ", ".join(parts) or "?"
    return said if cells(said) <= _SHAPE else " ".join(parts)


def _price_lines(figures: Figures) -> Iterator[str]:
    """What all come to, each currency apart, and what has no known price."""
    for one in figures.sums():
        yield f"  expected {_sum(one)}"
    for model, number in _unpriced(figures.counts).items():
        yield f"  {many(number, 'job')} of {printable(model)}: price unknown"


def _sum(one: Sum) -> str:
    worst = "unknown" if one.worst is None else f"{shown_amount(one.worst)} {one.currency}"
    return f"{shown_amount(one.expected)} {one.currency}, at worst {worst}"


def _unpriced(counts: Mapping[Quote, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for quote, number in counts.items():
        if quote.expected is None:
            found[quote.model] = found.get(quote.model, 0) + number
    return found


def _outlook(plan: "Plan") -> Iterator[str]:
    if plan.to_submit.jobs or plan.spending:
        yield f"prices: as published on {printable(plan.prices_as_of)}"
    if not plan.to_submit.jobs:
        return
    yield f"time: {_time(plan.time)}"
    yield f"disk: {_disk(plan.disk)}"


def _time(time: "Time") -> str:
    if time.slots is None:
        return "unknown, because --concurrency auto finds the slots as it goes"
    if time.seconds is None:
        return "unknown, because no document says how long some of these tasks take"
    origin = {
        (True, False): "by what tasks took in this folder",
        (False, True): "by what the vendor's documents say",
    }.get((time.learned > 0, time.documented > 0), "by this folder and by the vendor's documents")
    return f"about {span(time.seconds)} on {many(time.slots, 'slot')}, {origin}"


def _disk(disk: "Disk") -> str:
    if disk.bytes is None:
        return "unknown, because the length of some videos is"
    from pipeline.plan import BYTES_A_SECOND

    how = (
        f"assuming {BYTES_A_SECOND // 1000} kB for each second of video"
        if disk.mean is None
        else f"by the mean of this folder's videos, {_size(disk.mean)}"
    )
    return f"about {_size(disk.bytes)}, {how}"


def _size(size: float) -> str:
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"


def _spent(plan: "Plan") -> Iterator[str]:
    if plan.spending is None:
        yield "spent so far: not noted by the version that wrote this ledger; the next run counts it"
    else:
        yield from spending_lines(plan.spending, unknown=plan.unknown)


def _caps(plan: "Plan") -> Iterator[str]:
    caps, jobs = plan.caps, plan.to_submit.jobs
    if not caps.limits_anything:
        return
    said = [f"budget {shown_amount(caps.money)}"] if caps.money is not None else []
    said += [f"max_jobs {caps.tasks:,}"] if caps.tasks is not None else []
    said += [f"max_seconds {caps.seconds / 1000:,g}"] if caps.seconds is not None else []
    if plan.objection is None:
        enough = "enough for all of them" if plan.affordable == jobs else f"enough for {plan.affordable:,} of {jobs:,}"
        said.append(f"at worst {enough}")
    yield f"caps: {', '.join(said)}"


def _verdict(plan: "Plan") -> Iterator[str]:
    if plan.objection is not None:
        verdict = "a run would buy nothing" if plan.only_collects else "a run would be refused"
        yield f"{verdict}: {printable(plan.objection)}"


# -- a plan, for scripts -----------------------------------------------------------------------------------------------


def plan_json(plan: "Plan") -> str:
    """The plan as one JSON object on several lines, schema 1; amounts are exact decimals, null where unknown."""
    import json
    from dataclasses import asdict

    figures = plan.to_submit
    content: dict[str, Any] = {
        "schema": 1,
        "manifest": plan.manifest,
        "folder": plan.folder,
        "rows": asdict(plan.rows),
        "left_the_manifest": {state: max(0, plan.left.get(state, 0)) for state in JobState},
        "changed": [_changed_facts(job) for job in plan.changed],
        "on_changed": plan.on_changed,
        "to_submit": {
            "jobs": figures.jobs,
            "retried": plan.retried,
            "resubmitted": plan.resubmitted,
            "beyond_limit": plan.beyond_limit,
            "not_selected": plan.not_selected,
            "video_seconds": figures.seconds() / 1000,
            "by_kind": [_group_facts(quote, number) for quote, number in _groups(figures.counts).items()],
            **_price_facts(figures),
        },
        "fetched_again": plan.fetched_again,
        "prices_as_of": plan.prices_as_of,
        "time": {"seconds": plan.time.seconds, "slots": plan.time.slots, "jobs_by_learned": plan.time.learned}
        | {"jobs_by_documents": plan.time.documented},
        "disk": {"bytes": plan.disk.bytes, "mean_video_bytes": plan.disk.mean},
        "spending": None if plan.spending is None else spending_facts(plan.spending),
        "caps": _caps_facts(plan),
        "refused": plan.refused,
        "warnings": list(plan.warnings),
    }
    return json.dumps(content, indent=2)


def _changed_facts(job: "ChangedJob") -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "state": job.state,
        "file": job.source.file,
        "line": job.source.line,
        "differs": list(job.differs),
    }


def _group_facts(quote: Quote, number: int) -> dict[str, Any]:
    return {
        "model": quote.model,
        "resolution": quote.resolution,
        "seconds": None if quote.seconds is None else quote.seconds / 1000,
        "jobs": number,
        "currency": quote.currency or None,
        "each": _exact(quote.expected),
        "expected": None if quote.expected is None else exact(quote.expected * number),
        "worst": None if quote.worst is None else exact(quote.worst * number),
        "note": quote.note,
    }


def _price_facts(figures: Figures) -> dict[str, Any]:
    totals = [
        {"currency": one.currency, "jobs": one.jobs, "expected": exact(one.expected), "worst": _exact(one.worst)}
        for one in figures.sums()
    ]
    return {"totals": totals, "price_unknown": sum(_unpriced(figures.counts).values())}


def _caps_facts(plan: "Plan") -> dict[str, Any]:
    caps = plan.caps
    return {
        "budget": _exact(caps.money),
        "max_jobs": caps.tasks,
        "max_seconds": None if caps.seconds is None else caps.seconds / 1000,
        "affordable_jobs": plan.affordable,
        "objection": plan.objection,
    }


def _exact(amount: int | None) -> str | None:
    return None if amount is None else exact(amount)


# -- the first lines of a run ------------------------------------------------------------------------------------------


def priced_lines(event: "BatchPriced", *, rehearsal: bool, prices_as_of: str) -> list[str]:
    """What this run is about to buy: one to three lines. A rehearsal has a time of its own."""
    figures = Figures(dict(event.quotes))
    if not figures.jobs:
        return []
    sums = [f"expected {_sum(one)}" for one in figures.sums()]
    unknown = sum(_unpriced(figures.counts).values())
    sums += [f"{many(unknown, 'job')} of unknown price"] if unknown else []
    takes = "" if event.seconds is None or rehearsal else f", about {span(event.seconds)}"
    lines = [
        f"to submit: {many(figures.jobs, 'job')}{takes}",
        f"  {'; '.join(sums)} (prices of {printable(prices_as_of)})",
    ]
    if rehearsal:
        return [lines[0], f"  a rehearsal: nothing is paid; live: {lines[1].strip()}"]
    return lines + _before(event.spending)


def _before(spending: Sequence[Spending]) -> list[str]:
    said = [f"{shown_amount(one.at_most)} {one.currency}" for one in spending if one.currency and one.at_most]
    return [f"  this folder has come to {' and '.join(said)} before, at most"] if said else []


def priced_facts(event: "BatchPriced") -> dict[str, Any]:
    """The same for a log of JSON objects."""
    figures = Figures(dict(event.quotes))
    facts = {"jobs": figures.jobs, **_price_facts(figures), "spending": spending_facts(event.spending)}
    return facts | {"expected_seconds": None if event.seconds is None else round(event.seconds, 3)}
