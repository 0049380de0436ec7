"""What a run came to, in a handful of lines: what happened, why, what is left, and what to type next. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.clock import iso
from pipeline.core.jobs import JobState
from pipeline.core.money import Spending, shown_amount
from pipeline.ledger import FailureGroup, UnknownJob
from pipeline.views.spending import prices_of, spending_lines
from pipeline.views.text import cut, many, printable

SHOWN = 5
"""Reasons and jobs that are listed; `pipeline status` has them all."""
_MESSAGE_CELLS = 120


@dataclass(frozen=True, slots=True)
class Commands:
    """What to type next; every part is ready for a shell."""

    program: str
    run: str
    """The run again: `run shots.yaml -o outputs/night`."""
    folder: str

    @property
    def go_on(self) -> str:
        """Goes on where this run ended."""
        return f"{self.program} {self.run}"

    @property
    def status(self) -> str:
        """Says everything that the summary leaves out."""
        return f"{self.program} status {self.folder}"

    @property
    def resolve(self) -> str:
        """Decides about an unknown job; its id and the decision are to be added."""
        return f"{self.program} resolve {self.folder}"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, as the ledger and the run know it."""

    exit_code: int
    counts: Mapping[JobState, int]
    elapsed: float
    """Seconds."""
    folder: str
    stops: Sequence[str]
    """Why submitting ended early, in order."""
    failures: Sequence[FailureGroup]
    unknown: Sequence[UnknownJob]
    """The first of them."""
    spending: Sequence[Spending] = ()
    """What the folder has come to."""
    spent_before: Sequence[Spending] = ()
    """…and had come to when the run began."""
    prices_as_of: str = ""
    """The day of the prices, for what is said of money."""
    rehearsal: bool = False
    """Nothing of it is paid."""

    def count(self, *states: JobState) -> int:
        """Jobs in these states."""
        return sum(self.counts.get(state, 0) for state in states)

    @property
    def remaining(self) -> int:
        """Jobs that have not ended."""
        return sum(number for state, number in self.counts.items() if not state.ended)


def summary_lines(ending: Ending, commands: Commands) -> list[str]:
    """The whole summary; the last line is `last_line`."""
    return [
        *_stops(ending),
        *_failures(ending, commands),
        *_unknown(ending, commands),
        *_left(ending, commands),
        *_cost(ending),
        f"videos: {printable(ending.folder)}/videos, results: {printable(ending.folder)}/results.jsonl",
        last_line(ending),
    ]


def last_line(ending: Ending) -> str:
    """`pipeline: exit 0: 12 jobs: 10 done, 2 failed, 0 unknown, 0 remaining in 14.2 s`: stable, for scripts."""
    counts = ", ".join(f"{ending.count(state)} {state}" for state in (JobState.DONE, JobState.FAILED, JobState.UNKNOWN))
    return (
        f"pipeline: exit {ending.exit_code}: {sum(ending.counts.values())} jobs: "
        f"{counts}, {ending.remaining} remaining in {ending.elapsed:.1f} s"
    )


def failure_line(group: FailureGroup) -> str:
    """One reason: how many, what, and the first job with its message."""
    message = cut(printable(group.message), _MESSAGE_CELLS)
    return f"{group.count:>6,} × {printable(group.code)} at {group.stage}, first {group.job_id}: {message}"


def unknown_line(unknown: UnknownJob) -> str:
    """One job that waits for a decision, with what helps to find its task at the vendor's."""
    facts = [f"sent {iso(unknown.intent_at)}"] if unknown.intent_at else []
    facts += [f"body sha256 {unknown.body_digest[:16]}…"] if unknown.body_digest else []
    facts += [f"task {printable(unknown.record.task.task_id)}"] if unknown.record.task else []
    failure = unknown.record.outcome.failure if unknown.record.outcome else None
    reason = f": {cut(printable(failure.message), _MESSAGE_CELLS)} ({printable(failure.code)})" if failure else ""
    return f"       {unknown.record.job.job_id}, {', '.join(facts)}{reason}"


def _stops(ending: Ending) -> list[str]:
    return [f"stopped early: {printable(stop)}" for stop in ending.stops]


def _failures(ending: Ending, commands: Commands) -> list[str]:
    failed = ending.count(JobState.FAILED)
    if not failed:
        return []
    lines = [f"failed: {many(failed, 'job')}", *map(failure_line, ending.failures[:SHOWN])]
    if len(ending.failures) > SHOWN:
        lines.append(f"       and {many(len(ending.failures) - SHOWN, 'more reason')}: {commands.status}")
    again = sum(group.comes_again for group in ending.failures)
    if again:
        lines.append(f"  to download {many(again, 'job')} again, which costs nothing: {commands.go_on}")
    if again < failed:
        lines.append(f"  to buy another attempt for each{' other' * bool(again)}: {commands.go_on} --retry-failed")
    return lines


def _unknown(ending: Ending, commands: Commands) -> list[str]:
    unknown = ending.count(JobState.UNKNOWN)
    if not unknown:
        return []
    lines = [
        f"unknown: {many(unknown, 'job')}: the answer to a paid request was lost, and a person decides",
        *map(unknown_line, ending.unknown[:SHOWN]),
    ]
    if unknown > SHOWN:
        lines.append(f"       and {unknown - SHOWN:,} more: {commands.status}")
    return [
        *lines,
        f"  to decide for one: {commands.resolve} JOB --task-id ID | --resubmit | --write-off",
        f"  to buy them all again: {commands.go_on} --resubmit-unknown",
    ]


def _cost(ending: Ending) -> list[str]:
    """What this run has cost, and the folder over all its runs."""
    if not ending.spending:
        return []
    if ending.rehearsal:
        return ["cost: none, this was a rehearsal"]
    before = {one.currency: one for one in ending.spent_before}
    lines = []
    for line, one in zip(spending_lines(ending.spending), ending.spending, strict=True):
        this_run = one.spent - before[one.currency].spent if one.currency in before else one.spent
        said = f"; {shown_amount(max(0, this_run))} {one.currency} by this run" if one.currency else ""
        lines.append(f"{line}{said}{prices_of(ending.prices_as_of) if one.currency else ''}")
    return lines


def _left(ending: Ending, commands: Commands) -> list[str]:
    if not ending.remaining:
        return []
    paid = ending.remaining - ending.count(JobState.QUEUED)
    of_which = f", {paid:,} of them paid for and collected first" if paid else ""
    return [f"left: {many(ending.remaining, 'job')}{of_which}", f"  to go on: {commands.go_on}"]
