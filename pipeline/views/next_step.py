"""What a person does when a run has ended: the one step that is most useful now, with the exact command. Pure.

The summary on a screen, the webhook, the channels and `on_finish` say the same of the same end. What costs nothing
comes before what is to be decided, and that before what is to be bought.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from pipeline.core.jobs import JobState, remaining
from pipeline.core.money import Spending
from pipeline.core.values import Value
from pipeline.engine.desk import Stop
from pipeline.ledger import FailureGroup, UnknownJob
from pipeline.settings import Settings
from pipeline.views.text import many, printable, shell_word

DECISIONS = "--task-id ID | --resubmit | --write-off"
_MENDED = {
    "refused": "once the account is mended (key, quota, balance)",
    "disk": "once there is room",
    "downloads": "once videos can be fetched",
    "outage": "once the service answers",
    "lost_answers": "once the service answers",
    "budget": "once its caps are changed, as said above",
}
"""When the same command is of use again, by why submitting ended."""


class Commands(Value):
    """What to type next; every part is ready for a shell."""

    program: str
    """With `cd` before it, where it is told to somebody elsewhere."""
    run: str
    """The run again: `run shots.yaml -o outputs/night`; empty where a program runs the batch."""
    folder: str
    plan: str = ""
    """What the paid run would do, where this was a rehearsal: `plan shots.yaml`."""
    unselected: str = ""
    """The run again, without its `--select`."""
    uncapped: str = ""
    """The run again, without the caps that were typed."""
    collect: str = ""
    """Where nothing was to be bought: what collects the rest of what is paid for."""
    collecting: str = ""
    """Options of the run that `collect` takes as well: ` -c settings.yaml`."""
    left_out: str = ""
    """What belongs to a run and is not repeated here, because it may be secret or is not known."""

    def again(self, *options: str) -> str:
        """The run again, with further options."""
        if self.run:
            return " ".join([f"{self.program} {self.run}", *options])
        settings = " and ".join(option.strip("-").replace("-", "_") for option in options)
        return "run the program again" + (f", with {settings}" if settings else "")

    @property
    def go_on(self) -> str:
        """Goes on where this run ended, as it was meant: a run buys, `collect` does not."""
        return f"{self.program} {self.collect}" if self.collect else self.again()

    @property
    def fetch(self) -> str:
        """Downloads again what failed at that, and surely buys nothing."""
        return f"{self.program} {self.collect or f'collect {self.folder}{self.collecting}'}"

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

    def over(self, folder: str) -> "Commands":
        """The same for the output folder."""
        return replace(self, folder=shell_word(folder))


BY_PROGRAM = Commands("pipeline", "", "")
"""Where a program runs the batch, and nothing was typed."""


class Close(Value, kw_only=True):
    """How a run ended, as far as the next step depends on it; the counts are the ledger's."""

    exit_code: int
    counts: Mapping[JobState, int]
    """Of the whole folder."""
    stops: Sequence[Stop] = ()
    """Why submitting ended early, in order."""
    error: str | None = None
    """What ended the run, where that was an error."""
    failures: Sequence[FailureGroup] = ()
    unknown: Sequence[UnknownJob] = ()
    """The first of those that wait for a decision."""
    spending: Sequence[Spending] = ()
    """What the folder has come to."""
    unselected: bool = False
    """What remains is what `--select` leaves out."""
    selected: bool = False
    """The run chose among the jobs by `--select`, typed or not."""
    rebuys: bool = False
    """By its settings the same run buys failed or unknown jobs again."""

    def count(self, *states: JobState) -> int:
        """Jobs of the folder in these states."""
        return sum(self.counts.get(state, 0) for state in states)

    @property
    def remaining(self) -> int:
        """Jobs that have not ended."""
        return remaining(self.counts)

    @property
    def paid(self) -> int:
        """Jobs that have not ended and are paid for."""
        return self.remaining - self.count(JobState.QUEUED)

    @property
    def comes_again(self) -> int:
        """Failed jobs whose videos the next run fetches again, unpaid."""
        return sum(group.comes_again for group in self.failures)

    @property
    def chosen(self) -> str:
        """Whom the same run would buy a further attempt for: it heeds its `--select`."""
        return " that --select chooses" if self.selected else ""

    def fetching(self, commands: Commands) -> str:
        """What downloads them again and costs nothing: the same run, unless that would buy something, too."""
        buys = self.count(JobState.QUEUED) > 0 or self.rebuys
        return commands.fetch if buys else commands.go_on


def buys_again(settings: Settings) -> bool:
    """Whether a run with these settings buys again what failed or is unknown."""
    return settings.retry_failed or settings.resubmit_unknown


def is_unselected(counts: Mapping[JobState, int], stops: Sequence[Stop], settings: Settings) -> bool:
    """Whether all that remains after a run is what its `--select` leaves out."""
    left = remaining(counts)
    only_queued = left > 0 and left == counts.get(JobState.QUEUED)
    return only_queued and not stops and settings.select is not None and settings.limit is None


class Kind(StrEnum):
    """What kind of step it is."""

    GO_ON = "go_on"
    """The run again, for what has not ended."""
    FETCH = "fetch"
    """What is paid for is downloaded again."""
    DECIDE = "decide"
    """A person decides about an unknown job."""
    BUY = "buy"
    """What `collect` has left is bought."""
    RETRY = "retry"
    """Other attempts are bought for what failed."""
    PRICE = "price"
    """After a rehearsal: what it costs live."""
    NOTHING = "nothing"


_RUNS = (Kind.GO_ON, Kind.FETCH, Kind.BUY, Kind.RETRY)
"""Steps that are a run."""


class NextStep(Value):
    """The one step that is most useful now."""

    kind: Kind
    words: str
    """`to go on`."""
    command: str

    @property
    def text(self) -> str:
        """`to go on: pipeline run shots.yaml`; nothing in it steers a terminal."""
        return printable(f"{self.words}: {self.command}")

    @property
    def line(self) -> str:
        """`next, to go on: pipeline run shots.yaml`."""
        return f"next: {self.text}" if self.kind is Kind.NOTHING else f"next, {self.text}"


def next_step(close: Close, commands: Commands) -> NextStep:
    """What a person does now."""
    step = _next_step(close, commands)
    if commands.left_out and step.kind in _RUNS and step.command != commands.fetch:
        return replace(step, words=f"{step.words} (with your {commands.left_out}, left out here)")
    return step


def _next_step(close: Close, commands: Commands) -> NextStep:
    if close.error is not None:
        return NextStep(Kind.GO_ON, "once what ended the run is mended", commands.go_on)
    if close.paid if commands.collect else close.remaining:
        return _going_on(close, commands)
    if close.comes_again:
        words = f"to download {many(close.comes_again, 'job')} again, which costs nothing"
        return NextStep(Kind.FETCH, words, close.fetching(commands))
    if close.unknown:
        job_id = close.unknown[0].record.job.job_id
        decision = f"{commands.resolve} {job_id} --task-id ID (or --resubmit, or --write-off)"
        return NextStep(Kind.DECIDE, f"to decide about {job_id}", decision)
    if close.remaining:
        waiting = "the job that is" if close.remaining == 1 else f"the {close.remaining:,} jobs that are"
        return NextStep(Kind.BUY, f"to buy {waiting} not bought yet", commands.again())
    if close.count(JobState.FAILED):
        words = f"to buy another attempt for each failed job{close.chosen}"
        return NextStep(Kind.RETRY, words, commands.again("--retry-failed"))
    if commands.plan:
        return NextStep(Kind.PRICE, "to see what it costs live", f"{commands.program} {commands.plan}")
    return NextStep(Kind.NOTHING, "nothing; to compare every video with its record", commands.verify)


def _going_on(close: Close, commands: Commands) -> NextStep:
    """What goes on with the jobs that have not ended."""
    if close.unselected:
        typed = f"{commands.program} {commands.unselected}" if commands.unselected else ""
        return NextStep(Kind.GO_ON, "to go on with the rest", typed or commands.again("--select '*'"))
    enough = next((stop.enough for stop in close.stops if stop.enough), "")
    if enough and commands.uncapped:
        words = "with enough for all that is left"
        return NextStep(Kind.GO_ON, words, f"{commands.program} {commands.uncapped} {enough}")
    words = next((_MENDED[stop.reason] for stop in close.stops if stop.reason in _MENDED), "to go on")
    return NextStep(Kind.GO_ON, words, commands.go_on)
