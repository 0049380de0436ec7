"""What a run came to: reasons and decisions as far as there are some, then five lines and the stable last one. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.core.jobs import JobState
from pipeline.core.money import Spending, shown_amount
from pipeline.core.values import Value, made
from pipeline.ledger import FailureGroup, UnknownJob
from pipeline.views.reasons import failure_line, unknown_line
from pipeline.views.spending import prices_of, spending_lines
from pipeline.views.text import many, printable, size, span

SHOWN = 5
"""Reasons and jobs that are listed; `pipeline status` has them all."""
_ENDS = (JobState.DONE, JobState.FAILED, JobState.UNKNOWN)
_MENDED = {
    "refused": "once that is mended",
    "disk": "once there is room",
    "outage": "once the service answers",
    "lost_answers": "once the service answers",
    "budget": "with a larger budget",
}
"""When the same command is of use again, by why submitting ended."""


class Commands(Value):
    """What to type next; every part is ready for a shell."""

    program: str
    run: str
    """The run again: `run shots.yaml -o outputs/night`."""
    folder: str
    plan: str = ""
    """What the paid run would do, where this was a rehearsal: `plan shots.yaml`."""
    unselected: str = ""
    """The run again, without its `--select`."""
    uncapped: str = ""
    """The run again, without the caps that were typed."""

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

    @property
    def verify(self) -> str:
        """Compares every video with its record."""
        return f"{self.program} verify {self.folder}"


@dataclass(slots=True)
class Harvest:
    """What a run itself has brought, however much was there before."""

    ended: dict[JobState, int] = field(default_factory=dict)
    videos: int = 0
    bytes: int = 0


class Ending(Value):
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
    harvest: Harvest = made(default_factory=Harvest)
    idle: bool = False
    """There was nothing to submit and nothing to collect."""
    enough: str = ""
    """Options under which what a cap forbade may be bought."""
    stop_reasons: Sequence[str] = ()
    """The stable words for `stops`."""
    all_selected_ended: bool = False
    """What remains was not selected."""
    has_report: bool = False
    """There is a `report.html` in the folder."""

    def count(self, *states: JobState) -> int:
        """Jobs in these states."""
        return sum(self.counts.get(state, 0) for state in states)

    @property
    def remaining(self) -> int:
        """Jobs that have not ended."""
        return sum(number for state, number in self.counts.items() if not state.ended)


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
    return [
        *_stops(ending),
        *_failures(ending, commands),
        *_unknown(ending, commands),
        _happened(ending),
        _cost(ending),
        _left(ending),
        _next(ending, commands),
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
    return [f"stopped early: {printable(stop)}" for stop in ending.stops]


def _failures(ending: Ending, commands: Commands) -> list[str]:
    failed = ending.count(JobState.FAILED)
    if not failed:
        return []
    lines = [f"failed: {many(failed, 'job')}", *map(failure_line, ending.failures[:SHOWN])]
    if len(ending.failures) > SHOWN:
        lines.append(f"       and {many(len(ending.failures) - SHOWN, 'more reason')}: {commands.status}")
    again = sum(group.comes_again for group in ending.failures)
    chosen = _next(ending, commands)
    if again and "download" not in chosen:
        lines.append(f"  to download {many(again, 'job')} again, which costs nothing: {commands.go_on}")
    if again < failed and "another attempt" not in chosen:
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
    if "to decide" not in _next(ending, commands) or unknown > 1:
        lines.append(f"  to decide for one: {commands.resolve} JOB --task-id ID | --resubmit | --write-off")
    return [*lines, f"  to buy them all again: {commands.go_on} --resubmit-unknown"]


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
    by_this_run = [
        f"{shown_amount(max(0, one.spent - before.get(one.currency, 0)))} {one.currency}"
        for one in ending.spending
        if one.currency
    ]
    if not by_this_run:
        return f"cost: {'; '.join(spending_lines(ending.spending)) or 'nothing was bought'}"
    in_all = "; ".join(spending_lines(ending.spending))
    return (
        f"cost: {' and '.join(by_this_run)} for what ended in this run; in all {in_all}{prices_of(ending.prices_as_of)}"
    )


def _left(ending: Ending) -> str:
    unknown = ending.count(JobState.UNKNOWN)
    decisions = f"{many(unknown, 'unknown job')} to decide about" if unknown else ""
    if not ending.remaining:
        return f"left: {decisions or 'nothing'}"
    paid = ending.remaining - ending.count(JobState.QUEUED)
    of_which = f", {paid:,} of them paid for and collected first" if paid else ""
    why = ", which --select leaves out" if ending.all_selected_ended else ""
    return f"left: {many(ending.remaining, 'job')}{of_which}{why}{f', and {decisions}' if decisions else ''}"


def _next(ending: Ending, commands: Commands) -> str:
    """The one command that is most useful now."""
    again = sum(group.comes_again for group in ending.failures)
    if ending.remaining and ending.all_selected_ended and commands.unselected:
        return f"next, to go on with the rest: {commands.program} {commands.unselected}"
    if ending.remaining:
        if ending.enough and commands.uncapped:
            return f"next, with enough for all that is left: {commands.program} {commands.uncapped} {ending.enough}"
        words = next((_MENDED[reason] for reason in ending.stop_reasons if reason in _MENDED), "to go on")
        return f"next, {words}: {commands.go_on}"
    if again:
        return f"next, to download {many(again, 'job')} again, which costs nothing: {commands.go_on}"
    if ending.unknown:
        job_id = ending.unknown[0].record.job.job_id
        return (
            f"next, to decide about {job_id}: {commands.resolve} {job_id} --task-id ID (or --resubmit, or --write-off)"
        )
    if ending.count(JobState.FAILED):
        return f"next, to buy another attempt for each failed job: {commands.go_on} --retry-failed"
    if ending.rehearsal and commands.plan:
        return f"next, to see what it costs live: {commands.program} {commands.plan}"
    return f"next: nothing; to compare every video with its record: {commands.verify}"


def _files(ending: Ending) -> str:
    folder = printable(ending.folder)
    report = f", report: {folder}/report.html" if ending.has_report else ""
    return f"videos: {folder}/videos, results: {folder}/results.jsonl{report}"


def _nothing_to_do(ending: Ending, commands: Commands) -> list[str]:
    """A sentence for a person, and the two lines that lead on."""
    ends = ", ".join(f"{number:,} {state}" for state in _ENDS if (number := ending.count(state))) or "no job has ended"
    waiting = f", and {many(ending.remaining, 'job')} that this run was not asked for" if ending.remaining else ""
    return [f"nothing to do: {ends}{waiting}", _next(ending, commands), _files(ending)]
