"""What the engine tells whoever listens: frozen values. Logging, progress, metrics and tests are listeners."""

from collections.abc import Callable, Mapping

from pipeline.core.jobs import Job, JobState, Outcome
from pipeline.core.money import Actual, Quote, Spending
from pipeline.core.values import Value, made


class Event(Value):
    """Something that happened; `at` is Unix seconds."""

    at: float


class FolderAwaited(Event):
    """Another run holds the output folder, and this one waits for it before it does anything."""

    folder: str
    seconds: float
    """For which it waits at most."""


class RowsKept(Event):
    """Rows changed since they were enrolled, and their jobs stay as they were, as the settings have it."""

    count: int
    job_ids: tuple[str, ...]
    """The first of them, in the order of the manifest."""
    in_flight: bool = False
    """They were to be bought anew, and their tasks are under way: only a later run does that."""


class BatchStarted(Event):
    """The manifest is enrolled and what an earlier run left behind is back in the flow."""

    counts: Mapping[JobState, int]
    to_submit: int
    """How many jobs this run may submit."""
    slots: int | None = None
    """Allowed slots at the start; None where nobody said."""
    loop: str = ""
    """The library whose event loop it runs on, `asyncio` or `uvloop`; empty where nobody said."""


class BatchPriced(Event):
    """What this run is about to buy, and what the folder has come to before; told before anything is submitted."""

    quotes: Mapping[Quote, int]
    """Jobs by what they cost."""
    spending: tuple[Spending, ...]
    seconds: float | None
    """That the tasks take, on the slots that there are; None where that is not known."""
    adopted: Mapping[str, Quote] = made(default_factory=dict)
    """Attempts of earlier runs that may yet end, by job, as they were priced when they were bought."""


class JobMoved(Event):
    """A job entered a state. The change is already on its way to the ledger."""

    job: Job
    state: JobState
    attempt: int
    task_id: str | None = None
    outcome: Outcome | None = None
    """With an end only."""
    quote: Quote | None = None
    """What the attempt may cost, where it is about to be bought (`submitting`)."""
    actual: Actual | None = None
    """What the attempt came to, where the service has told it (`fetching`)."""


class CallFailed(Event):
    """A call that will be made again failed: a refused submit, an unanswered question, a broken download."""

    call: str
    """`submit`, `status` or `download`."""
    job_id: str
    code: str
    message: str
    retry_in: float
    """Seconds."""


class SubmittingPaused(Event):
    """No submit leaves for now, and why."""

    reason: str


class SubmittingResumed(Event):
    """Submits leave again."""


class SlotsChanged(Event):
    """The number of allowed slots changed."""

    limit: int


class StrangeStatus(Event):
    """The service used a status word that nobody documented; the task is still asked about."""

    job_id: str
    word: str


class QuestionsLate(Event):
    """Status questions leave noticeably after their due times; seconds, over the last minute."""

    mean: float
    worst: float
    mend: str
    """What a person can do about it: `raise --pollers`."""


class JobLeft(Event):
    """A job is no longer looked after in this run; it keeps its state for the next one."""

    job_id: str
    state: JobState
    reason: str


class Stopping(Event):
    """Nothing new is submitted in this run any more, and why."""

    reason: str
    """Short and stable: `signal`, `deadline`, `refused`, `disk`, `outage`, `lost_answers`, `budget`."""
    message: str


class ExtraFailed(Event):
    """Something beside the run failed; the run itself goes on as if nothing had happened."""

    what: str
    """Short and stable: `on_job`, `on_finish`, `notify`, `metrics`, `report` or `sidecar`."""
    message: str


class BatchEnded(Event):
    """The run is over; the counts come from the ledger."""

    counts: Mapping[JobState, int]


Listener = Callable[[Event], None]


def nobody(_event: Event) -> None:
    """The listener that hears nothing."""
