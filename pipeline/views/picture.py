"""The live view as lines of words with styles, drawn from one standing for a terminal of a given size. Pure."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from pipeline.core.jobs import JobState
from pipeline.core.money import shown_amount
from pipeline.core.values import Value
from pipeline.views.purse import Money
from pipeline.views.standing import Finished, Reason, Running, Standing
from pipeline.views.text import cells, clock, cut, many, printable, rate, roughly, size

Span = tuple[str, str]
"""Words, and the style that they are written in (rich's spelling; empty for none)."""
Line = tuple[Span, ...]


class Stage(Value):
    """What a part of the bar stands for; told apart by its character as well as by its colour."""

    word: str
    states: tuple[JobState, ...]
    glyph: str
    ascii: str
    style: str


STAGES = (
    Stage("done", (JobState.DONE,), "█", "#", "green"),
    Stage("downloading", (JobState.FETCHING,), "▓", "=", "cyan"),
    Stage("running", (JobState.RUNNING, JobState.SUBMITTING), "▒", "+", "blue"),
    Stage("waiting", (JobState.QUEUED,), "░", ".", "bright_black"),
    Stage("failed", (JobState.FAILED,), "!", "!", "bold red"),
    Stage("unknown", (JobState.UNKNOWN,), "?", "?", "bold magenta"),
)
_ASCII = str.maketrans("█▓▒░→·…×", "#=+.>-~x")
"""For terminals that know no other characters."""

_LABEL = 7
"""Cells of the words before the figures."""
_SIDE_BY_SIDE = 110
"""Cells from which two panels stand beside each other."""
_GAP = 3
_SPACED = 20
"""Lines of the view from which panels have an empty one above them."""
_REASONS = 5
_NAME = 40
"""Cells to which the names of jobs are filled up."""
_SLOW = 2.0
"""Times the usual from which a task is called slow."""


# -- the whole ---------------------------------------------------------------------------------------------------------


def picture(standing: Standing, width: int, height: int) -> list[Line]:
    """The live view in at most `height` lines, each of at most `width` cells; what matters most comes first.

    The number of lines hardly depends on how far the batch is, so that the screen stays calm.
    """
    bar, legend = _bar(standing, width), _legend(standing, width)
    if height < 2 + len(legend):
        return [fitted(line, width) for line in [bar, *legend][:height]]
    head = [bar, *legend]
    figures = [_time(standing), _slots(standing), *_cost(standing)]
    figures = figures[: height - len(head)]
    room = height - len(head) - len(figures)
    title = [_title(standing, width)] if room > 0 and standing.subject.manifest else []
    lines = [*title, *head, *figures]
    lines += _panels(standing, width, height - len(lines), spaced=height >= _SPACED)
    return [fitted(line, width) for line in lines[:height]]


def last_picture(standing: Standing, width: int) -> list[Line]:
    """What stays of the live view when the run is over: two lines."""
    return [_bar(standing, width, closing=f"  in {clock(standing.elapsed)}"), fitted(_told(standing), width)]


def plainly(lines: Sequence[Line]) -> list[Line]:
    """The same in characters that every terminal knows; what has no counterpart becomes a question mark."""
    return [
        tuple((text.translate(_ASCII).encode("ascii", "replace").decode(), style) for text, style in line)
        for line in lines
    ]


def words(line: Line) -> str:
    """The line without its styles."""
    return "".join(text for text, _ in line)


def fitted(line: Line, width: int) -> Line:
    """The line in at most `width` cells."""
    used, kept = 0, []
    for text, style in line:
        taken = cells(text)
        if used + taken > width:
            kept.append((cut(text, width - used), style))
            break
        kept.append((text, style))
        used += taken
    return tuple(kept)


# -- the head ----------------------------------------------------------------------------------------------------------


def _title(standing: Standing, width: int) -> Line:
    subject = standing.subject
    right = "a rehearsal" if subject.rehearsal else ""
    left = cut(f"{printable(subject.manifest)} → {printable(subject.folder)}", width - len(right) - 2)
    gap = " " * max(2, width - cells(left) - len(right)) if right else ""
    return (left, "bold"), (gap, ""), (right, "yellow")


def _bar(standing: Standing, width: int, closing: str | None = None) -> Line:
    """Every stage has its part, and at least a cell where any job is in it."""
    total = standing.total
    share = f" {standing.ended:,}/{total:,}"
    if closing is None:
        closing = f" {100 * standing.ended // total if total else 100:3} %"
    room = max(0, width - len(share) - len(closing))
    parts = _shares([_count(standing, stage) for stage in STAGES], room)
    spans = [(stage.glyph * part, stage.style) for stage, part in zip(STAGES, parts, strict=True) if part]
    return fitted((*spans, (share, "bold"), (closing, "")), width)


def _shares(counts: Sequence[int], room: int) -> list[int]:
    """The room divided in proportion; what exists is seen while there is room for it."""
    total = sum(counts)
    if not total:
        return [0] * len(counts)
    exact = [count * room / total for count in counts]
    parts = [max(int(share), 1) if count else 0 for share, count in zip(exact, counts, strict=True)]
    while sum(parts) > room:
        widest = max(range(len(parts)), key=parts.__getitem__)
        if not parts[widest]:
            break
        parts[widest] -= 1
    by_rest = sorted(range(len(parts)), key=lambda place: parts[place] - exact[place])
    for place in by_rest[: room - sum(parts)]:
        parts[place] += 1
    return parts


def _count(standing: Standing, stage: Stage) -> int:
    return sum(standing.counts.get(state, 0) for state in stage.states)


def _legend(standing: Standing, width: int) -> list[Line]:
    """In as few lines as the numbers of this batch may need: that does not change while it goes on."""
    items = [_item(standing, stage) for stage in STAGES]
    widest = [len(f"  {standing.total:,} {stage.word}") for stage in STAGES]
    for each, gap in ((6, 3), (6, 2), (6, 1), (3, 2), (2, 2)):
        starts = range(0, len(items), each)
        if max(sum(widest[start : start + each]) + gap * (each - 1) for start in starts) <= width:
            return [_joined(items[start : start + each], " " * gap) for start in starts]
    return [_joined(items[start : start + 2], "  ") for start in range(0, len(items), 2)]


def _told(standing: Standing) -> Line:
    """The stages in which there is a job."""
    return _joined([_item(standing, stage) for stage in STAGES if _count(standing, stage)], "  ")


def _item(standing: Standing, stage: Stage) -> Line:
    number = _count(standing, stage)
    faint = "" if number else "bright_black"
    return (stage.glyph, stage.style if number else faint), (f" {number:,} {stage.word}", faint)


def _joined(items: Sequence[Line], gap: str) -> Line:
    return tuple(span for place, item in enumerate(items) for span in (((gap, ""),) if place else ()) + item)


# -- the figures -------------------------------------------------------------------------------------------------------


def _labelled(label: str, *spans: Span) -> Line:
    return ((f"{label:<{_LABEL}}", "bright_black"), *spans)


def _time(standing: Standing) -> Line:
    left = "" if standing.eta is None else f", about {roughly(standing.eta)} left"
    return _labelled("time", (clock(standing.elapsed), "bold"), (left, "bold"), (speed_text(standing), ""))


def speed_text(standing: Standing) -> str:
    """`; 12.3 jobs/min, 12.0 videos/min, 1.8 MB/s`; empty before the first job has ended."""
    speed = standing.speed
    if not speed.jobs:
        return ""
    return f"; {rate(speed.jobs)} jobs/min, {rate(speed.videos)} videos/min, {size(speed.bytes)}/s"


def _slots(standing: Standing) -> Line:
    note = ((f"; {printable(standing.note)}", "yellow"),) if standing.note else ()
    return _labelled("slots", (slots_text(standing), ""), *note)


def slots_text(standing: Standing) -> str:
    """`3 of 4 in use`, and how many there should be where that is another number."""
    if standing.slots is None:
        return f"{standing.in_slots:,} in use"
    wanted = standing.slots_wanted or standing.slots
    asked = f" (of {wanted:,} asked for)" if wanted != standing.slots else ""
    return f"{standing.in_slots:,} of {standing.slots:,} in use{asked}"


def _cost(standing: Standing) -> list[Line]:
    return [_labelled("cost", (cost_text(standing), ""))]


def cost_text(standing: Standing) -> str:
    """What this run has spent, what is reserved at worst, what is to come, and what has no known price."""
    if standing.subject.rehearsal:
        live = _live(standing.money)
        return f"nothing, this is a rehearsal{f'; live, it would be {live}' if live else ''}"
    said = [_amounts(one) for one in standing.money if one.currency]
    said += [f"{many(one.jobs, 'job')} of unknown price" for one in standing.money if not one.currency]
    said += [f"{shown_amount(amount)} {currency} before this run" for currency, amount in standing.spent_before]
    return "; ".join(said) or "nothing to buy"


def _amounts(one: Money) -> str:
    doubted = f" ({shown_amount(one.doubted)} for unknown jobs)" if one.doubted else ""
    if one.doubted == one.reserved:
        doubted = " for unknown jobs"
    reserved = f", {shown_amount(one.reserved)} reserved{doubted}" if one.reserved else ""
    return f"{shown_amount(one.spent)} {one.currency} spent{reserved}, {shown_amount(one.to_come)} to come"


def _live(money: Sequence[Money]) -> str:
    sums = [f"{shown_amount(one.expected)} {one.currency}" for one in money if one.currency]
    sums += [f"{many(one.jobs, 'job')} of unknown price" for one in money if not one.currency]
    return " and ".join(sums)


# -- the panels --------------------------------------------------------------------------------------------------------


def _panels(standing: Standing, width: int, room: int, *, spaced: bool) -> list[Line]:
    """What failed and why, the slowest tasks and the latest files, as far as there is room."""
    gap = 1 if spaced else 0
    failures = _failures(standing.reasons, min(_REASONS, room - 1 - gap))
    if failures:
        failures = [*_empty(gap), *failures]
    room -= len(failures)
    slow, fresh = _slowest(standing), _latest(standing)
    if width >= _SIDE_BY_SIDE:
        depth = min(room - gap, 1 + _wished(standing))
        if depth < 2:
            return failures
        half = (width - _GAP) // 2
        return [*_empty(gap), *_beside(slow[:depth], fresh[:depth], half, depth), *failures]
    wished = 1 + _wished(standing)
    if room < 4 + 2 * gap:
        return [*(_deep(slow, min(room, wished)) if room > 1 else ()), *failures]
    first = min((room - 2 * gap + 1) // 2, wished)
    second = min(room - 2 * gap - first, wished)
    return [*_empty(gap), *_deep(slow, first), *_empty(gap), *_deep(fresh, second), *failures]


def _empty(number: int) -> list[Line]:
    return [((" ", ""),)] * number


def _wished(standing: Standing) -> int:
    """Rows that the panels of jobs can ever fill in this batch."""
    slots = standing.slots_wanted or standing.in_slots or 1
    return max(1, min(slots, standing.total))


def _deep(lines: Sequence[Line], depth: int) -> list[Line]:
    """Exactly so many lines."""
    return [*lines[:depth], *_empty(depth - len(lines[:depth]))]


def _beside(left: Sequence[Line], right: Sequence[Line], half: int, depth: int) -> Iterator[Line]:
    for one, other in zip_longest(_deep(left, depth), right, fillvalue=((" ", ""),)):
        first = fitted(one, half)
        yield (*first, (" " * (half - cells(words(first)) + _GAP), ""), *fitted(other, half))


def _heading(text: str) -> Line:
    return ((text, "bright_black"),)


def _slowest(standing: Standing) -> list[Line]:
    others = f"; {standing.running_before:,} more from an earlier run" if standing.running_before else ""
    name = min(_NAME, max((len(one.job_id) for one in standing.running), default=0))
    return [_heading(f"slowest running{others}"), *(_running(one, name) for one in standing.running)]


def _running(one: Running, name: int) -> Line:
    times = one.age / one.usual if one.usual else 1.0
    slow = ((f"  {times:.1f} × the usual", "yellow"),) if times >= _SLOW else ()
    kind = (f"  {printable(one.kind)}", "bright_black")
    return (f"{clock(one.age):>7}", "yellow" if slow else ""), (f"  {printable(one.job_id):<{name}}", ""), *slow, kind


def _latest(standing: Standing) -> list[Line]:
    return [_heading("last finished"), *map(_finished, standing.finished)]


def _finished(one: Finished) -> Line:
    took = "" if one.took is None else clock(one.took)
    return (f"{took:>7}", ""), (f"  {size(one.bytes):>8}", "bright_black"), (f"  {printable(one.path)}", "")


def _failures(reasons: Sequence[Reason], room: int) -> list[Line]:
    """The most frequent reasons; the heading counts the others."""
    if not reasons or room < 1:
        return []
    rest = reasons[room:]
    jobs = many(sum(reason.count for reason in rest), "job")
    others = f"; {jobs} more for {many(len(rest), 'other reason')}" if rest else ""
    return [_heading(f"failed or unknown in this run{others}"), *map(_reason, reasons[:room])]


def _reason(reason: Reason) -> Line:
    stage = STAGES[5] if reason.unknown else STAGES[4]
    what = f"  {printable(reason.code)} at {reason.stage}, first {printable(reason.first)}: "
    return (f"{stage.glyph}{reason.count:>6,}", stage.style), (what, ""), (printable(reason.message), "bright_black")
