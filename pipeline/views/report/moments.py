"""When every job was where: a hundred bytes a job, from which all charts over time are made. Pure.

Seconds. What lies between two moments is taken from this machine's clock. How long a task took is the service's own
word where it gives one, cut to what passed here: no skew between two clocks and no late question is in it.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import NamedTuple

from msgspec import Struct

from pipeline.core.jobs import JobState, Stage
from pipeline.ledger import Story

NEVER = math.nan
_STATES = tuple(JobState)
_CODES = {state: code for code, state in enumerate(_STATES)}
_ABSENT = 255
_ROOM = 1000
"""Jobs that room is made for at once, at least."""


class Span(NamedTuple):
    """From one moment to another that is no earlier, Unix seconds; the end is `NEVER` where it goes on."""

    begin: float
    end: float


NOWHERE = Span(NEVER, NEVER)
"""Of a job that never was in a stage."""


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


UNTIMED = Times(NEVER, NEVER, NEVER, NEVER)


class Moment(Struct, frozen=True):
    """What the charts want of one job."""

    state: JobState
    kind: str
    """Model and resolution."""
    moved_at: float
    submitting: Span = NOWHERE
    generating: Span = NOWHERE
    downloading: Span = NOWHERE
    times: Times = UNTIMED


def moment_of(story: Story) -> Moment:
    """The spans and times of one job."""
    record, moved, intent = story.record, story.moved_at, story.intent_at
    if record.state is JobState.QUEUED or intent is None:
        return Moment(record.state, kind_of(story), moved)
    last = moved if record.state.ended else NEVER
    accepted = record.submitted_at if record.task is not None else None
    if accepted is None:
        submitting = _span(intent, last)
        times = Times(submitting.end - submitting.begin, NEVER, NEVER, NEVER)
        return Moment(record.state, kind_of(story), moved, submitting, times=times)
    submitting, told = _span(intent, accepted), _told(story)
    noticed = story.noticed_at if story.noticed_at and story.noticed_at >= accepted else None
    if _came_to_its_download(story):
        task_end = noticed if noticed is not None else min(accepted + told, moved)  # `NEVER`, untold
        downloading = _span(task_end, last) if task_end == task_end else NOWHERE
    else:
        task_end, downloading = noticed if noticed is not None else last, NOWHERE
    generating = _span(accepted, task_end)
    times = _times(submitting, generating, downloading, told, noticed=story.noticed_at is not None)
    return Moment(record.state, kind_of(story), moved, submitting, generating, downloading, times)


def kind_of(story: Story) -> str:
    """Model and resolution in one line."""
    job = story.record.job
    resolution = job.parameters.get("resolution") or job.parameters.get("size") or ""
    model = job.model.rpartition("/")[2]
    return f"{model} {resolution}"[:80] if isinstance(resolution, str | int) and resolution else model[:80]


def _came_to_its_download(story: Story) -> bool:
    record = story.record
    if record.state is JobState.DONE or record.state is JobState.FETCHING:
        return True
    failure = record.outcome.failure if record.outcome else None
    return failure is not None and failure.stage is Stage.DOWNLOAD


def _span(begin: float, end: float) -> Span:
    """A clock that went back makes no negative time; `NEVER` as the first of two stays what it is."""
    return Span(begin, max(end, begin))


def _told(story: Story) -> float:
    """How long the task took by the service's stamps."""
    report = story.record.report
    if report is None or report.submit_time is None or report.finish_time is None:
        return NEVER
    return max(0.0, report.finish_time - report.submit_time)


def _times(submitting: Span, generating: Span, downloading: Span, told: float, *, noticed: bool) -> Times:
    here = generating.end - generating.begin
    generate = min(here, told)  # where nobody told, nothing is less
    return Times(
        submitting.end - submitting.begin,
        generate,
        here - generate if noticed and told == told else NEVER,
        downloading.end - downloading.begin,
    )


_GENERATE = 8
_WIDTH = 11
"""Numbers of a job: the edges of three spans, when it moved last, and its four times."""
_EMPTY = array("d", [NEVER] * _WIDTH)


class Moments:
    """The moments of all jobs of a batch, by their cursor in the ledger. A job that is put again is replaced."""

    def __init__(self) -> None:
        self._states = bytearray()
        self._kinds = array("L")
        self._names: dict[str, int] = {}
        self._numbers = array("d")
        self.last = 0.0
        """The latest movement of all, Unix seconds; 0 where nothing has moved."""

    def put(self, seq: int, moment: Moment) -> None:
        """Take a job in, or what has become of it."""
        if seq >= len(self._states):
            self._make_room(max(_ROOM, seq + 1 - len(self._states)))
        self._states[seq] = _CODES[moment.state]
        self._kinds[seq] = self._names.setdefault(moment.kind, len(self._names))
        spans = *moment.submitting, *moment.generating, *moment.downloading
        self._numbers[_WIDTH * seq : _WIDTH * (seq + 1)] = array("d", (*spans, moment.moved_at, *moment.times))
        if moment.moved_at > self.last and moment.state is not JobState.QUEUED:
            self.last = moment.moved_at

    def _make_room(self, jobs: int) -> None:
        self._states.extend(bytes([_ABSENT]) * jobs)
        self._kinds.extend(array("L", [0]) * jobs)
        self._numbers.extend(_EMPTY * jobs)

    def stages(self) -> Iterator[tuple[list[float], list[float]]]:
        """When jobs came into a stage and when they left it, each list sorted: submitting, generating, downloading.

        Those that are still there leave with the latest movement of all.
        """
        last = self.last
        for stage in range(3):
            begins, ends = self._numbers[2 * stage :: _WIDTH], self._numbers[2 * stage + 1 :: _WIDTH]
            left = [
                end if end == end else max(last, begin)
                for begin, end in zip(begins, ends, strict=True)
                if begin == begin
            ]
            yield _known(begins), sorted(left)

    def ends(self) -> dict[JobState, list[float]]:
        """When the jobs ended that did, by how they did; each list is sorted."""
        moved = self._numbers[6::_WIDTH]
        return {
            state: sorted(compress(moved, map(code.__eq__, self._states)))
            for state, code in _CODES.items()
            if state.ended
        }

    def times(self) -> tuple[list[float], list[float], list[float], list[float]]:
        """All known seconds of submitting, generating, noticing and downloading, each list sorted."""
        submit, generate, notice, download = (_known(self._numbers[number::_WIDTH]) for number in range(7, _WIDTH))
        return submit, generate, notice, download

    def generated(self) -> list[float]:
        """The seconds that all tasks took, sorted."""
        return _known(self._numbers[_GENERATE::_WIDTH])

    def generated_by_kind(self) -> dict[str, list[float]]:
        """The seconds that the tasks of each kind took, each list sorted."""
        names = list(self._names)
        found: dict[str, list[float]] = {}
        for kind, seconds in zip(self._kinds, self._numbers[_GENERATE::_WIDTH], strict=True):
            if seconds == seconds:
                found.setdefault(names[kind], []).append(seconds)
        return {kind: sorted(all_of_it) for kind, all_of_it in found.items()}


def _known(column: Sequence[float]) -> list[float]:
    return sorted([seconds for seconds in column if seconds == seconds])
