"""Where a batch stands, kept up to date from its events."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from pipeline.core.events import (
    BatchEnded,
    BatchPriced,
    BatchStarted,
    CallFailed,
    Event,
    JobLeft,
    JobMoved,
    QuestionsLate,
    SlotsChanged,
    Stopping,
    SubmittingPaused,
    SubmittingResumed,
)
from pipeline.core.jobs import Failure, JobState, Stage
from pipeline.views.outlook import Calm, Outlook
from pipeline.views.pace import Pace, Saving
from pipeline.views.purse import Purse
from pipeline.views.standing import IN_SLOTS, Finished, Reason, Running, Standing, Subject
from pipeline.views.text import many

SHOWN = 30
"""Jobs and reasons that a standing names at most: more than the tallest terminal shows."""
_REASONS = 200
"""Reasons that are told apart; a service that invents a code for every answer must not fill the memory."""
_LATE_FOR = 15.0
"""Seconds for which late questions are shown after they were told of."""
_TOO_MANY = frozenset({"rate_limit", "http_429"})
"""Codes by which the service asks to slow down."""

_STATE_AT = {Stage.SUBMIT: JobState.QUEUED, Stage.GENERATE: JobState.RUNNING, Stage.DOWNLOAD: JobState.FETCHING}
_STATE_BEFORE = {
    JobState.SUBMITTING: JobState.QUEUED,
    JobState.QUEUED: JobState.SUBMITTING,
    JobState.RUNNING: JobState.SUBMITTING,
    JobState.FETCHING: JobState.RUNNING,
    JobState.DONE: JobState.FETCHING,
    JobState.UNKNOWN: JobState.RUNNING,
}
_BEGUN = (*IN_SLOTS, JobState.FETCHING)


def nothing_to_do(event: BatchStarted) -> bool:
    """Whether a run that has started has nothing to submit and nothing to collect."""
    return not event.to_submit and not any(event.counts.get(state) for state in _BEGUN)


class Tally:
    """Hears what happens and tells where the batch stands. Memory grows with the jobs under way, not with the batch."""

    def __init__(self, get_time: Callable[[], float], subject: Subject | None = None) -> None:
        self._get_time = get_time
        self._subject = subject or Subject()
        self._began = get_time()
        self._counts = dict.fromkeys(JobState, 0)
        self._under_way: dict[str, JobState] = {}
        self._submitted: dict[str, float] = {}
        self._to_submit = 0
        self._left: dict[JobState, int] = {}
        self._outlook = Outlook(self._subject.expected)
        self._calm = Calm()
        self._purse = Purse()
        self._before: tuple[tuple[str, int], ...] = ()
        self._pace = Pace(self._began)
        self._saving = Saving()
        self._finished: deque[Finished] = deque(maxlen=SHOWN)
        self._reasons: dict[tuple[str, str, bool], Reason] = {}
        self._troubles = _Troubles()
        self._slots: int | None = None
        self._slots_wanted: int | None = None
        self._stopping = ""

    def hear(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case JobMoved():
                self._move(event)
            case BatchPriced():
                self._price(event)
            case BatchStarted():
                self._start(event)
            case JobLeft():
                self._leave(event)
            case SlotsChanged():
                self._slots = event.limit
                self._slots_wanted = max(event.limit, self._slots_wanted or 0)
            case Stopping():
                self._stopping = f"stopping: {event.message}"
            case BatchEnded():
                self._end(event)
            case _:
                self._troubles.hear(event, self._get_time())

    @property
    def phase(self) -> int:
        """How far the run is: 0 while jobs are submitted, then the last tasks run, the last videos come, it stops."""
        if self._stopping:
            return 3
        if self._to_submit:
            return 0
        return 1 if self._running else 2

    @property
    def _running(self) -> int:
        """Jobs whose task runs, or is about to."""
        return sum(self._counts[state] for state in IN_SLOTS)

    def standing(self) -> Standing:
        """This moment."""
        now = self._get_time()
        return Standing(
            counts=dict(self._counts),
            elapsed=now - self._began,
            eta=self._eta(now),
            slots=self._slots,
            slots_wanted=self._slots_wanted,
            note=self._stopping or self._troubles.note(now) or self._shrunk(),
            subject=self._subject,
            speed=self._pace.speed(now),
            money=self._purse.money(self._to_submit),
            spent_before=self._before,
            running=tuple(self._oldest(now)),
            running_before=max(0, self._running - self._outlook.at_work),
            finished=tuple(reversed(self._finished)),
            reasons=tuple(sorted(self._reasons.values(), key=lambda reason: -reason.count)[:SHOWN]),
        )

    # -- the whole batch

    def _price(self, event: BatchPriced) -> None:
        self._outlook.expect(event.quotes)
        self._purse.expect(event.quotes, event.adopted, event.spending)
        self._before = tuple((one.currency, one.spent) for one in event.spending if one.currency and one.spent)

    def _start(self, event: BatchStarted) -> None:
        self._counts.update(event.counts)
        self._to_submit = event.to_submit
        self._slots = self._slots_wanted = event.slots
        self._pace = Pace(self._get_time())

    def _end(self, event: BatchEnded) -> None:
        self._counts.update(event.counts)
        self._to_submit = 0
        self._slots = None
        self._under_way.clear()
        self._submitted.clear()

    def _leave(self, event: JobLeft) -> None:
        self._left[event.state] = self._left.get(event.state, 0) + 1
        self._outlook.forget(event.job_id)
        self._saving.forget(event.job_id)
        self._submitted.pop(event.job_id, None)

    # -- a job

    def _move(self, event: JobMoved) -> None:
        job_id, now = event.job.job_id, self._get_time()
        before = self._under_way.pop(job_id, None) or _state_before(event)
        self._counts[before] = max(0, self._counts[before] - 1)
        self._counts[event.state] += 1
        match event.state:
            case JobState.SUBMITTING:
                self._submit(event, now)
            case JobState.QUEUED:
                self._withdraw(job_id)
            case JobState.FETCHING:
                self._outlook.end(job_id, now)
                self._purse.settle(job_id, event.actual)
                self._saving.begin(job_id, now)
            case JobState.DONE | JobState.FAILED | JobState.UNKNOWN:
                self._finish(event, before, now)
        if not event.state.ended and event.state is not JobState.QUEUED:
            self._under_way[job_id] = event.state

    def _submit(self, event: JobMoved, now: float) -> None:
        takes = event.quote.takes if event.quote else None
        self._to_submit = max(0, self._to_submit - 1)
        self._submitted[event.job.job_id] = now
        self._outlook.begin(event.job.job_id, event.job.kind, takes, now)
        if event.quote is not None:
            self._purse.buy(event.job.job_id, event.quote)

    def _withdraw(self, job_id: str) -> None:
        self._to_submit += 1
        self._submitted.pop(job_id, None)
        self._outlook.withdraw(job_id)
        self._purse.withdraw(job_id)

    def _finish(self, event: JobMoved, before: JobState, now: float) -> None:
        job_id = event.job.job_id
        submitted = self._submitted.pop(job_id, None)
        if before is JobState.RUNNING:
            self._outlook.end(job_id, now)
        else:
            self._outlook.forget(job_id)
        if before is JobState.QUEUED:
            self._to_submit = max(0, self._to_submit - 1)
        self._pay(event, before)
        self._saving.end(job_id, now)
        files = event.outcome.files if event.outcome else ()
        self._pace.add(now, videos=len(files), size=sum(file.bytes for file in files))
        if files:
            took = None if submitted is None else now - submitted
            self._finished.append(Finished(files[0].path, sum(file.bytes for file in files), took))
        failure = event.outcome.failure if event.outcome else None
        if failure is not None:
            self._blame(job_id, failure, unknown=event.state is JobState.UNKNOWN)

    def _pay(self, event: JobMoved, before: JobState) -> None:
        job_id = event.job.job_id
        if event.state is JobState.UNKNOWN:
            self._purse.lose(job_id)
        elif before in (JobState.QUEUED, JobState.SUBMITTING):
            self._purse.refuse(job_id)
        else:
            self._purse.settle(job_id, event.actual)

    def _blame(self, job_id: str, failure: Failure, *, unknown: bool) -> None:
        key = failure.stage, failure.code, unknown
        if key not in self._reasons and len(self._reasons) >= _REASONS:
            key = failure.stage, "other reasons", unknown
        known = self._reasons.get(key)
        first, message = (known.first, known.message) if known else (job_id, failure.message)
        count = known.count + 1 if known else 1
        self._reasons[key] = Reason(key[1], failure.stage, count, first, message, unknown)

    # -- what is told

    def _oldest(self, now: float) -> list[Running]:
        first = islice(self._outlook.begun, SHOWN)
        return [
            Running(job_id, self._outlook.kind(job_id), now - at, self._outlook.usual(job_id)) for job_id, at in first
        ]

    def _shrunk(self) -> str:
        if self._slots is None or self._slots_wanted is None or self._slots >= self._slots_wanted:
            return ""
        return f"the service took no more than {many(self._slots, 'task')} lately"

    def _eta(self, now: float) -> float | None:
        eta = self._calm.follow(now, None if self._stopping else self._known_left(now))
        return None if eta is None else max(1.0, eta)

    def _known_left(self, now: float) -> float | None:
        """Seconds until the last job has ended, as far as is known now: its task, its download, the line before it."""
        begun = {state: max(0, self._counts[state] - self._left.get(state, 0)) for state in _BEGUN}
        left, fetching = self._to_submit + sum(begun.values()), begun.pop(JobState.FETCHING)
        if not left:
            return None
        others = max(0, sum(begun.values()) - self._outlook.at_work)
        known = self._outlook.left(now, queued=self._to_submit, slots=self._slots, others=others)
        if known is None:
            return self._pace.rest(left, now) if self._outlook.ended > 1 else None
        known += self._saving.rest(now)
        if fetching > self._subject.downloads:
            known = max(known, self._saving.queue(left, self._subject.downloads, now, known))
        return known


def _state_before(event: JobMoved) -> JobState:
    """Where a job that an earlier run had begun, or that never left, stood before."""
    if event.state is JobState.FAILED:
        failure = event.outcome.failure if event.outcome else None
        return _STATE_AT[failure.stage] if failure else JobState.QUEUED
    return _STATE_BEFORE[event.state]


@dataclass(slots=True)
class _Troubles:
    """What slows a run down at the moment."""

    paused: str = ""
    said: str = ""
    said_until: float = 0.0
    held: str = ""
    held_until: float = 0.0

    def hear(self, event: Event, now: float) -> None:
        """Take an event into account."""
        match event:
            case CallFailed(call="submit") if event.code in _TOO_MANY:
                self.held, self.held_until = "429", now + event.retry_in
            case CallFailed(call="submit"):
                self.held, self.held_until = f"submit calls fail ({event.code})", now + event.retry_in
            case CallFailed():
                self.said, self.said_until = f"{event.call} calls fail ({event.code})", now + event.retry_in
            case QuestionsLate():
                self.said = f"questions leave {event.mean:.1f} s late: {event.mend}"
                self.said_until = now + _LATE_FOR
            case SubmittingPaused():
                self.paused = f"submitting is paused: {event.reason}"
            case SubmittingResumed():
                self.paused = ""

    def note(self, now: float) -> str:
        """The trouble that weighs most now; empty where there is none."""
        if self.paused:
            return self.paused
        if now < self.held_until:
            return f"{self.held}: paused {math.ceil(self.held_until - now)} s"
        return self.said if now < self.said_until else ""
