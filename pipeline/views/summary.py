"""What a run came to: reasons and decisions as far as there are some, then five lines and the stable last one. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.core.jobs import JobState
from pipeline.core.money import Spending, shown_amount
from pipeline.core.values import made
from pipeline.views.next_step import DECISIONS, Close, Commands, Kind, next_step
from pipeline.views.reasons import failure_line, unknown_line
from pipeline.views.spending import prices_of, spending_lines
from pipeline.views.text import many, printable, size, span

SHOWN = 5
"""Reasons and jobs that are listed; `pipeline status` has them all."""
_ENDS = (JobState.DONE, JobState.FAILED, JobState.UNKNOWN)


@dataclass(slots=True)
class Harvest:
    """What a run itself has brought, however much was there before."""

    ended: dict[JobState, int] = field(default_factory=dict)
    videos: int = 0
    bytes: int = 0


class Ending(Close, kw_only=True):
    """How a run ended, for the terminal that it ran in."""

    elapsed: float
    """Seconds."""
    folder: str
    spent_before: Sequence[Spending] = ()
    """What the folder had come to when the run began."""
    prices_as_of: str = ""
    """The day of the prices, for what is said of money."""
    rehearsal: bool = False
    """Nothing of it is paid."""
    harvest: Harvest = made(default_factory=Harvest)
    idle: bool = False
    """There was nothing to submit and nothing to collect."""
    has_report: bool = False
    """There is a `report.html` in the folder."""


def spoken_lines(ending: Ending, commands: Commands, *, quiet: bool, terminal: bool) -> list[str]:
    """What is said of it: the whole summary, or for the quiet the last line.

    Where there was nothing to do, a terminal gets a sentence, everybody else the last line, and the quiet nothing.
    """
    if quiet:
        return [] if ending.idle and ending.exit_code == 0 else [last_line(ending)]
    if ending.idle:
        return [*_nothing_to_do(ending, commands), last_line(ending)] if terminal else [last_line(ending)]
    return summary_lines(ending, commands)


def summary_lines(ending: Ending, commands: Commands) -> list[str]:
    """The whole summary: groups, then what happened, what it cost, what is left, what is next, where the files are.

    The last line is `last_line`.
    """
    step = next_step(ending, commands)
    return [
        *_stops(ending),
        *_failures(ending, commands, step.kind),
        *_unknown(ending, commands, step.kind),
        *_unbought(ending, commands, step.kind),
        _happened(ending),
        _cost(ending),
        _left(ending),
        step.line,
        _files(ending),
        last_line(ending),
    ]


def last_line(ending: Ending) -> str:
    """`pipeline: exit 0: 12 jobs: 10 done, 2 failed, 0 unknown, 0 remaining in 14.2 s`: stable, for scripts."""
    counts = ", ".join(f"{ending.count(state)} {state}" for state in (JobState.DONE, JobState.FAILED, JobState.UNKNOWN))
    return (
        f"pipeline: exit {ending.exit_code}: {sum(ending.counts.values())} jobs: "
        f"{counts}, {ending.remaining} remaining in {ending.elapsed:.1f} s"
    )


def _stops(ending: Ending) -> list[str]:
    return [f"stopped early: {printable(stop.message)}" for stop in ending.stops]


def _failures(ending: Ending, commands: Commands, following: Kind) -> list[str]:
    failed = ending.count(JobState.FAILED)
    if not failed:
        return []
    lines = [f"failed: {many(failed, 'job')}", *map(failure_line, ending.failures[:SHOWN])]
    if len(ending.failures) > SHOWN:
        lines.append(f"       and {many(len(ending.failures) - SHOWN, 'more reason')}: {commands.status}")
    again = ending.comes_again
    if again and following is not Kind.FETCH:
        lines.append(f"  to download {many(again, 'job')} again, which costs nothing: {ending.fetching(commands)}")
    if again < failed and following is not Kind.RETRY:
        buying = commands.again("--retry-failed")
        lines.append(f"  to buy another attempt for each{' other' * bool(again)}{ending.chosen}: {buying}")
    return lines


def _unknown(ending: Ending, commands: Commands, following: Kind) -> list[str]:
    unknown = ending.count(JobState.UNKNOWN)
    if not unknown:
        return []
    lines = [
        f"unknown: {many(unknown, 'job')}: the answer to a paid request was lost, and a person decides",
        *map(unknown_line, ending.unknown[:SHOWN]),
    ]
    if unknown > SHOWN:
        lines.append(f"       and {unknown - SHOWN:,} more: {commands.status}")
    if following is not Kind.DECIDE or unknown > 1:
        lines.append(f"  to decide for one: {commands.resolve} JOB {DECISIONS}")
    them = f"each{ending.chosen}" if ending.chosen else "them all"
    return [*lines, f"  to buy {them} again: {commands.again('--resubmit-unknown')}"]


def _unbought(ending: Ending, commands: Commands, following: Kind) -> list[str]:
    """What is left to buy when all that is paid for was collected, and something else comes next."""
    queued = ending.count(JobState.QUEUED)
    if not commands.collect or not queued or ending.paid or following is Kind.BUY:
        return []
    return [f"not bought: {many(queued, 'job')}", f"  to buy what is not bought: {commands.again()}"]


# -- the five lines ----------------------------------------------------------------------------------------------------


def _happened(ending: Ending) -> str:
    """What this run brought, and how far the batch is where that says more."""
    harvest = ending.harvest
    said = [f"{number:,} {state}" for state in _ENDS if (number := harvest.ended.get(state, 0))] or ["no job ended"]
    if harvest.videos:
        said[0] += f" ({many(harvest.videos, 'video')}, {size(harvest.bytes)})"
    total, done = sum(ending.counts.values()), ending.count(JobState.DONE)
    in_all = (
        "" if harvest.ended.get(JobState.DONE, 0) == done else f"; in all {done:,} of {many(total, 'job')} are done"
    )
    return f"happened: {', '.join(said)} in {span(ending.elapsed)}{in_all}"


def _cost(ending: Ending) -> str:
    """What this run has cost, and the folder over all its runs."""
    if ending.rehearsal:
        return "cost: none, this was a rehearsal"
    before = {one.currency: one.spent for one in ending.spent_before}
    in_all = "; ".join(spending_lines(ending.spending, unknown=ending.count(JobState.UNKNOWN)))
    by_this_run = [
        f"{shown_amount(max(0, one.spent - before.get(one.currency, 0)))} {one.currency}"
        for one in ending.spending
        if one.currency
    ]
    if not by_this_run:
        return f"cost: {in_all or 'nothing was bought'}"
    return (
        f"cost: {' and '.join(by_this_run)} for what ended in this run; in all {in_all}{prices_of(ending.prices_as_of)}"
    )


def _left(ending: Ending) -> str:
    unknown = ending.count(JobState.UNKNOWN)
    decisions = f"{many(unknown, 'unknown job')} to decide about" if unknown else ""
    if not ending.remaining:
        return f"left: {decisions or 'nothing'}"
    of_which = f", {_of_them(ending.paid, ending.remaining)} paid for and collected first" if ending.paid else ""
    why = ", which --select leaves out" if ending.unselected else ""
    return f"left: {many(ending.remaining, 'job')}{of_which}{why}{f', and {decisions}' if decisions else ''}"


def _of_them(some: int, total: int) -> str:
    """`3 of them`; where nothing else is left, that is not said as if there were."""
    return f"{some:,} of them" if some < total else "all of them" if total > 1 else "which is"


def _files(ending: Ending) -> str:
    folder = printable(ending.folder)
    report = f", report: {folder}/report.html" if ending.has_report else ""
    return f"videos: {folder}/videos, results: {folder}/results.jsonl{report}"


def _nothing_to_do(ending: Ending, commands: Commands) -> list[str]:
    """A sentence for a person, and the two lines that lead on."""
    ends = ", ".join(f"{number:,} {state}" for state in _ENDS if (number := ending.count(state))) or "no job has ended"
    waiting = f", and {many(ending.remaining, 'job')} that this run was not asked for" if ending.remaining else ""
    return [f"nothing to do: {ends}{waiting}", next_step(ending, commands).line, _files(ending)]
