"""Where a batch stands, kept up to date from its events."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.core.events import (
    BatchEnded,
    BatchStarted,
    CallFailed,
    Event,
    JobMoved,
    SlotsChanged,
    Stopping,
    SubmittingPaused,
    SubmittingResumed,
)
from pipeline.core.jobs import JobState, Stage

_RECENT = 200
"""Ends that the rate is taken from: enough to smooth whole waves of slots, few enough to notice a change."""

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
    """Until the last job of this run has ended; None while nothing tells."""
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
            case CallFailed():
                self._slowed = f"{event.call} calls fail ({event.code})"
                self._slowed_until = self._get_time() + event.retry_in
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
        if event.state.ended:
            self._left = max(0, self._left - 1)
            self._recent.append(self._get_time())
        elif event.state is not JobState.QUEUED:
            self._under_way[event.job.job_id] = event.state

    def _eta(self, now: float) -> float | None:
        """What is left, at the rate of the last ends; the wait for the first ones counts until they are many."""
        if not self._recent or not self._left or self._stopping:
            return None
        since = self._recent[0] if len(self._recent) == _RECENT else self._began
        return self._left * (now - since) / len(self._recent)


def _state_before(event: JobMoved) -> JobState:
    """Where a job that an earlier run had begun, or that never left, stood before."""
    if event.state is JobState.FAILED:
        failure = event.outcome.failure if event.outcome else None
        return _STATE_AT[failure.stage] if failure else JobState.QUEUED
    return _STATE_BEFORE[event.state]
