"""Where a batch stands, kept up to date from its events."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.core.events import (
    BatchEnded,
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
from pipeline.core.jobs import JobState, Stage

_RECENT = 200
"""Ends that the rate is taken from: enough to smooth whole waves of slots, few enough to notice a change."""
_FEWEST = 2
"""Tasks that must have ended before anything is said about the rest: one says nothing about the others."""
_CALM = 5.0
"""Seconds in which the estimate follows two thirds of a change."""
_LATE_FOR = 15.0
"""Seconds for which late questions are shown after they were told of."""
_NEARLY = 0.95
"""The most that a running task counts for: it may yet take longer than those before it."""

_STATE_AT = {Stage.SUBMIT: JobState.QUEUED, Stage.GENERATE: JobState.RUNNING, Stage.DOWNLOAD: JobState.FETCHING}
_STATE_BEFORE = {
    JobState.SUBMITTING: JobState.QUEUED,
    JobState.QUEUED: JobState.SUBMITTING,
    JobState.RUNNING: JobState.SUBMITTING,
    JobState.FETCHING: JobState.RUNNING,
    JobState.DONE: JobState.FETCHING,
    JobState.UNKNOWN: JobState.RUNNING,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """One moment of a batch; seconds."""

    counts: Mapping[JobState, int]
    elapsed: float
    eta: float | None = None
    """Until the last job of this run has ended, at least a second; None while nothing tells."""
    slots: int | None = None
    """Allowed slots, where the service has made us change them."""
    note: str = ""
    """Why things are slower than they could be."""

    @property
    def total(self) -> int:
        """All jobs of the batch."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """Jobs of the batch with which nothing more happens."""
        return sum(number for state, number in self.counts.items() if state.ended)


class Tally:
    """Counts jobs by state. Memory grows with the jobs under way, not with the batch."""

    def __init__(self, get_time: Callable[[], float]) -> None:
        self._get_time = get_time
        self._began = get_time()
        self._counts = dict.fromkeys(JobState, 0)
        self._under_way: dict[str, JobState] = {}
        self._left = 0
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._ended_tasks = 0
        self._begun: dict[str, float] = {}
        self._took: deque[float] = deque(maxlen=_RECENT)
        self._estimate: tuple[float, float] | None = None
        self._slots: int | None = None
        self._paused = ""
        self._stopping = ""
        self._slowed = ""
        self._slowed_until = 0.0

    def hear(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case BatchStarted():
                self._start(event)
            case JobMoved():
                self._move(event)
            case JobLeft():
                self._left = max(0, self._left - 1)
                self._begun.pop(event.job_id, None)
            case CallFailed():
                self._slowed = f"{event.call} calls fail ({event.code})"
                self._slowed_until = self._get_time() + event.retry_in
            case QuestionsLate():
                self._slowed = f"questions leave {event.mean:.1f} s late: {event.mend}"
                self._slowed_until = self._get_time() + _LATE_FOR
            case SubmittingPaused():
                self._paused = f"submitting is paused: {event.reason}"
            case SubmittingResumed():
                self._paused = ""
            case SlotsChanged():
                self._slots = event.limit
            case Stopping():
                self._stopping = f"stopping: {event.message}"
            case BatchEnded():
                self._counts.update(event.counts)
                self._left = 0

    @property
    def queued(self) -> int:
        """Jobs that wait for their submit."""
        return self._counts[JobState.QUEUED]

    def standing(self) -> Standing:
        """This moment."""
        now = self._get_time()
        slowed = self._slowed if now < self._slowed_until else ""
        note = self._stopping or self._paused or slowed
        return Standing(dict(self._counts), now - self._began, self._eta(now), self._slots, note)

    def _start(self, event: BatchStarted) -> None:
        self._counts.update(event.counts)
        begun = sum(event.counts.get(state, 0) for state in JobState if not state.ended and state != JobState.QUEUED)
        self._left = event.to_submit + begun

    def _move(self, event: JobMoved) -> None:
        before = self._under_way.pop(event.job.job_id, None) or _state_before(event)
        self._counts[before] = max(0, self._counts[before] - 1)
        self._counts[event.state] += 1
        self._time(event, before)
        if event.state.ended:
            self._left = max(0, self._left - 1)
            self._recent.append(self._get_time())
            self._ended_tasks += before in (JobState.RUNNING, JobState.FETCHING)
        elif event.state is not JobState.QUEUED:
            self._under_way[event.job.job_id] = event.state

    def _time(self, event: JobMoved, before: JobState) -> None:
        """Learn how long tasks take, from those that this run submitted."""
        if event.state is JobState.SUBMITTING:
            self._begun[event.job.job_id] = self._get_time()
        elif event.state is not JobState.RUNNING:
            begun = self._begun.pop(event.job.job_id, None)
            if begun is not None and before is JobState.RUNNING:
                self._took.append(self._get_time() - begun)

    def _eta(self, now: float) -> float | None:
        """The estimate, which follows what is known now in some seconds, so that it does not jump with every end."""
        if self._ended_tasks < _FEWEST or not self._left or self._stopping:
            self._estimate = None
            return None
        known = self._known_now(now)
        at, before = self._estimate or (now, known)
        expected = before - (now - at)
        estimate = known + (expected - known) * math.exp((at - now) / _CALM)
        self._estimate = now, estimate
        return max(1.0, estimate)

    def _known_now(self, now: float) -> float:
        """What is left, at the rate of the last ends, but no less than the youngest task still needs.

        A running task counts in part: with many slots the first ends are the tip of a wave, and say little alone.
        """
        usual = sum(self._took) / len(self._took) if self._took else 0.0
        ages = [now - begun for begun in self._begun.values()]
        parts = sum(min(age / usual, _NEARLY) for age in ages) if usual else 0.0
        full = len(self._recent) == _RECENT
        since = self._recent[0] if full else self._began
        done = len(self._recent) + (0.0 if full else parts)
        youngest = max((max(usual - age, usual / 10) for age in ages), default=0.0)
        return max((self._left - parts) * (now - since) / done, youngest)


def _state_before(event: JobMoved) -> JobState:
    """Where a job that an earlier run had begun, or that never left, stood before."""
    if event.state is JobState.FAILED:
        failure = event.outcome.failure if event.outcome else None
        return _STATE_AT[failure.stage] if failure else JobState.QUEUED
    return _STATE_BEFORE[event.state]
