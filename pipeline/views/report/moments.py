"""When every job was where: a hundred bytes a job, from which all charts over time are made. Pure.

Seconds. What lies between two moments is taken from this machine's clock. How long a task took is the service's own
word where it gives one, cut to what passed here: no skew between two clocks and no late question is in it.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import compress
from struct import Struct as Packer

from msgspec import Struct

from pipeline.core.jobs import ENDED, JobState, Stage
from pipeline.ledger import Sketch

NEVER = math.nan
_QUEUED, _FETCHING, _DONE = JobState.QUEUED, JobState.FETCHING, JobState.DONE
"""Asked for once: to ask an enumeration for a member takes longer than most of what is done with it here."""
_STATES = tuple(JobState)
_CODES = {state: code for code, state in enumerate(_STATES)}
_ABSENT = 255
_ROOM = 1000
"""Jobs that room is made for at once, at least."""


Edges = tuple[float, float, float, float, float, float]
"""When a job came into a stage and when it left it: submitting, generating, downloading. Unix seconds.

Each end is no earlier than its beginning; it is `NEVER` where the stage goes on, and both are where it never began.
"""
Times = tuple[float, float, float, float]
"""How long the parts of one job took; `NEVER` where a part has not ended, or nobody knows.

From the intent to the answer; the task, its wait at the service included; from its end to our noticing it; from there
to whole files.
"""
NOWHERE: Edges = (NEVER,) * 6
UNTIMED: Times = (NEVER,) * 4


class Moment(Struct, frozen=True):
    """What the charts want of one job."""

    state: JobState
    kind: str
    """Model and resolution."""
    moved_at: float
    edges: Edges = NOWHERE
    times: Times = UNTIMED


def moment_of(sketch: Sketch) -> Moment:
    """The spans and times of one job."""
    state, moved, intent, kind = sketch.state, sketch.moved_at, sketch.intent_at, kind_of(sketch)
    if state is _QUEUED or intent is None:
        return Moment(state, kind, moved)
    last = moved if state in ENDED else NEVER
    accepted = sketch.submitted_at if sketch.task_id is not None else None
    if accepted is None:
        ended = _not_before(intent, last)
        return Moment(state, kind, moved, (intent, ended, *NOWHERE[2:]), (ended - intent, *UNTIMED[1:]))
    answered, told = _not_before(intent, accepted), _told(sketch)
    noticed = sketch.noticed_at if sketch.noticed_at and sketch.noticed_at >= accepted else None
    came_to_its_download = _came_to_its_download(sketch)
    unnoticed = min(accepted + told, moved) if came_to_its_download else last  # `NEVER`, untold
    task_end = unnoticed if noticed is None else noticed
    fetched_from = task_end if came_to_its_download else NEVER
    whole = _not_before(fetched_from, last) if fetched_from == fetched_from else NEVER
    generated = _not_before(accepted, task_end)
    here = generated - accepted
    generate = min(here, told)  # where nobody told, nothing is less
    notice = here - generate if sketch.noticed_at is not None and told == told else NEVER
    edges = (intent, answered, accepted, generated, fetched_from, whole)
    return Moment(state, kind, moved, edges, (answered - intent, generate, notice, whole - fetched_from))


def _not_before(begin: float, end: float) -> float:
    """A clock that went back makes no negative time; `NEVER` as the end stays what it is."""
    return max(end, begin)


def kind_of(sketch: Sketch) -> str:
    """Model and resolution in one line."""
    parameters = sketch.parameters
    resolution = parameters.get("resolution") or parameters.get("size") or ""
    return _kind(sketch.model, resolution if isinstance(resolution, _NAMED) else "")


_NAMED = (str, int)
"""What a resolution is told as; a union would be made anew for each job."""


@lru_cache(maxsize=256, typed=True)
def _kind(model: str, resolution: str | int) -> str:
    name = model.rpartition("/")[2]
    return f"{name} {resolution}"[:80] if resolution else name[:80]


def _came_to_its_download(sketch: Sketch) -> bool:
    if sketch.state is _DONE or sketch.state is _FETCHING:
        return True
    return sketch.failure is not None and sketch.failure.stage is Stage.DOWNLOAD


def _told(sketch: Sketch) -> float:
    """How long the task took by the service's stamps."""
    began, ended = sketch.answer.submit_time, sketch.answer.finish_time
    return NEVER if began is None or ended is None else max(0.0, ended - began)


_GENERATE = 8
_WIDTH = 11
"""Numbers of a job: the edges of three spans, when it moved last, and its four times."""
_EMPTY = array("d", [NEVER] * _WIDTH)
_NUMBERS = Packer(f"{_WIDTH}d")


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
        place = seq * _NUMBERS.size
        _NUMBERS.pack_into(self._numbers, place, *moment.edges, moment.moved_at, *moment.times)
        if moment.moved_at > self.last and moment.state is not _QUEUED:
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
