"""When every job was where: forty-odd bytes a job, from which all charts over time are made. Pure.

Seconds. What lies between two moments is taken from this machine's clock. How long a task took is the service's own
word where it gives one, cut to what passed here: no skew between two clocks and no late question is in it.
"""

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.core.jobs import JobState, Stage
from pipeline.ledger import Story

NEVER = math.nan
_STATES = tuple(JobState)
_CODES = {state: code for code, state in enumerate(_STATES)}
_ABSENT = 255


class Span(NamedTuple):
    """From one moment to another, Unix seconds; the end is `NEVER` where it goes on."""

    begin: float
    end: float


class Times(NamedTuple):
    """How long the parts of one job took; `NEVER` where a part has not ended, or nobody knows."""

    submit: float
    """From the intent to the answer."""
    generate: float
    """The task, its wait at the service included."""
    notice: float
    """From the task's end to our noticing it."""
    download: float
    """From there to whole files."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the charts want of one job."""

    state: JobState
    kind: str
    """Model and resolution."""
    submitting: Span | None
    generating: Span | None
    downloading: Span | None
    moved_at: float
    times: Times


def moment_of(story: Story) -> Moment:
    """The spans and times of one job."""
    record, moved = story.record, story.moved_at
    ended = record.state.ended
    intent = story.intent_at
    accepted = record.submitted_at if record.task is not None else None
    noticed = story.noticed_at if accepted and story.noticed_at and story.noticed_at >= accepted else None
    failure = record.outcome.failure if record.outcome else None
    if record.state is JobState.QUEUED or intent is None:
        return Moment(record.state, kind_of(story), None, None, None, moved, Times(NEVER, NEVER, NEVER, NEVER))
    last = moved if ended else NEVER
    submitting = Span(intent, accepted if accepted is not None else last)
    generating = downloading = None
    if accepted is not None:
        at_download = record.state in (JobState.FETCHING, JobState.DONE) or (
            failure and failure.stage is Stage.DOWNLOAD
        )
        task_end = noticed if noticed is not None else (_told_end(story, accepted) if at_download else last)
        generating = Span(accepted, task_end)
        downloading = Span(task_end, last) if at_download and not math.isnan(task_end) else None
    return Moment(
        record.state,
        kind_of(story),
        submitting,
        generating,
        downloading,
        moved,
        _times(story, submitting, generating, downloading),
    )


def kind_of(story: Story) -> str:
    """Model and resolution in one line."""
    job = story.record.job
    resolution = job.parameters.get("resolution") or job.parameters.get("size") or ""
    model = job.model.rpartition("/")[2]
    return f"{model} {resolution}"[:80] if isinstance(resolution, str | int) and resolution else model[:80]


def _told_end(story: Story, accepted: float) -> float:
    """When the task ended by the service's stamps, for ledgers that did not note when that was noticed."""
    told = _told(story)
    return min(accepted + told, story.moved_at) if not math.isnan(told) else NEVER


def _told(story: Story) -> float:
    """How long the task took by the service's stamps."""
    report = story.record.report
    if report is None or report.submit_time is None or report.finish_time is None:
        return NEVER
    return max(0.0, report.finish_time - report.submit_time)


def _times(story: Story, submitting: Span, generating: Span | None, downloading: Span | None) -> Times:
    submit, here, download = (
        span.end - span.begin if span else NEVER for span in (submitting, generating, downloading)
    )
    told = _told(story)
    generate = here if math.isnan(told) or math.isnan(here) else min(told, here)
    notice = here - generate if not math.isnan(told) and story.noticed_at is not None else NEVER
    return Times(
        *(max(0.0, seconds) if seconds == seconds else NEVER for seconds in (submit, generate, notice, download))
    )


class Moments:
    """The moments of all jobs of a batch, by their cursor in the ledger. A job that is put again is replaced."""

    def __init__(self) -> None:
        self._states = bytearray()
        self._kinds = array("L")
        self._names: dict[str, int] = {}
        self._columns = tuple(array("d") for _ in range(11))
        self.last = 0.0
        """The latest movement of all, Unix seconds; 0 where nothing has moved."""

    def put(self, seq: int, moment: Moment) -> None:
        """Take a job in, or what has become of it."""
        self._make_room(seq)
        self._states[seq] = _CODES[moment.state]
        self._kinds[seq] = self._names.setdefault(moment.kind, len(self._names))
        spans = (moment.submitting, moment.generating, moment.downloading)
        flat = [edge for span in spans for edge in (span or (NEVER, NEVER))]
        for column, value in zip(self._columns, (*flat, moment.moved_at, *moment.times), strict=True):
            column[seq] = value
        if moment.state is not JobState.QUEUED:
            self.last = max(self.last, moment.moved_at)

    def _make_room(self, seq: int) -> None:
        missing = seq + 1 - len(self._states)
        if missing <= 0:
            return
        self._states.extend(bytes([_ABSENT]) * missing)
        self._kinds.extend([0] * missing)
        for column in self._columns:
            column.extend([NEVER] * missing)

    def spans(self) -> Iterator[tuple[int, float, float]]:
        """Every stretch of a job in a stage: 0 submitting, 1 generating, 2 downloading; open ends are `NEVER`."""
        for stage in range(3):
            begins, ends = self._columns[2 * stage], self._columns[2 * stage + 1]
            for begin, end in zip(begins, ends, strict=True):
                if begin == begin:
                    yield stage, begin, end

    def ends(self) -> Iterator[tuple[JobState, float]]:
        """How and when every job that has ended did."""
        wanted = {_CODES[state]: state for state in _STATES if state.ended}
        for code, moved in zip(self._states, self._columns[6], strict=True):
            if code in wanted:
                yield wanted[code], moved

    def times(self) -> tuple[list[float], list[float], list[float], list[float]]:
        """All known seconds of submitting, generating, noticing and downloading, each list sorted."""
        submit, generate, notice, download = (sorted(t for t in column if t == t) for column in self._columns[7:])
        return submit, generate, notice, download

    def generated(self) -> list[float]:
        """The seconds that all tasks took, sorted."""
        return sorted(seconds for seconds in self._columns[8] if seconds == seconds)

    def generated_by_kind(self) -> dict[str, list[float]]:
        """The seconds that the tasks of each kind took, each list sorted."""
        names = list(self._names)
        found: dict[str, list[float]] = {}
        for kind, seconds in zip(self._kinds, self._columns[8], strict=True):
            if seconds == seconds:
                found.setdefault(names[kind], []).append(seconds)
        return {kind: sorted(all_of_it) for kind, all_of_it in found.items()}
