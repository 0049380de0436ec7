"""When to ask next how a task stands. Pure: the pollers bring the time and what they saw, the schedule answers."""

from dataclasses import dataclass
from typing import Protocol

from pipeline.core.jobs import TaskState
from pipeline.engine.durations import Kind, recollect, written

SHORTEST = 0.1
"""Seconds between two questions about one task, at least."""
LONGEST = 60.0
"""Seconds between two questions about a task that is older than any that has ended, at most."""
_GLANCE = 1.0
"""Seconds for which the demand for questions is taken to be the same."""
_KINDS = 1000
"""Kinds that are known at once, some kilobytes each: a manifest of nothing but kinds must not fill the memory."""


@dataclass(slots=True, eq=False)
class Course:
    """One task as a schedule follows it; moments are seconds on the clock that the caller brings."""

    kind: str
    """Tasks of one kind take about the same time."""
    born: float
    """When the submit's answer came."""
    seen: float | None = None
    """When the task was last known to be open; None where an earlier run left it, and it may long have ended."""
    running: float | None = None
    """When an answer first said that the service works on the task."""
    pending: bool = False
    """The last answer said that it does not yet."""


class Schedule(Protocol):
    """The seam between the poller pool and the rule it follows."""

    def begin(self, course: Course, now: float) -> float:
        """A task is followed from now on. Seconds until the first question: none where it may have ended by now."""

    def delay(self, course: Course, now: float) -> float:
        """Seconds until the next question about the task."""

    def saw(self, course: Course, now: float, state: TaskState) -> None:
        """An answer found the task open, or at least not yet at a usable end."""

    def ended(self, course: Course, now: float, took: float | None) -> None:
        """An answer found the task ended, after so many seconds; None where nobody can tell."""

    def leave(self, course: Course) -> None:
        """The task is followed no more."""

    def drain(self) -> None:
        """Nothing is left to submit."""


class LearnedSchedule:
    """Spreads the questions about a task over the ages at which tasks of its kind end (`reference: performance.md` §6).

    `lag` is the mean time in seconds, wanted between a task's end and the question that finds it. `budget` is how many
    questions a second may leave for all tasks together: where `lag` asks for more, all spacings are stretched alike.
    """

    def __init__(self, lag: float = 1.0, budget: float | None = None) -> None:
        self._lag = lag
        self._budget = budget
        self._kinds: dict[str, Kind] = {}
        self._open: set[Course] = set()
        self._most_open = 0
        self._draining = False
        self._stretch = 1.0
        self._stretched_at: float | None = None

    def recall(self, text: str | None) -> None:
        """Begin with what an earlier run learned; text that is not ours says nothing."""
        self._kinds = recollect(text)

    def written(self) -> str:
        """What was learned, for the next run."""
        return written(self._kinds)

    def typical(self, kind: str) -> float | None:
        """The seconds that half of the tasks of a kind take, as far as they are known; None where none has ended."""
        known = self._kinds.get(kind)
        return None if known is None else known.total.curve.median

    # -- what is seen -------------------------------------------------------------------------------------------------

    def begin(self, course: Course, now: float) -> float:
        self._open.add(course)
        if len(self._open) > self._most_open:
            self._most_open = len(self._open)
        stretch = 1.0 if self._budget is None else self._stretch_at(now, self._budget)
        first = course.born + self._spacing(course, course.born, stretch)
        if first <= now:
            return 0.0
        course.seen = course.born
        return first - now

    def saw(self, course: Course, now: float, state: TaskState) -> None:
        course.seen = now
        course.pending = state is TaskState.PENDING
        if course.pending:
            self._kind(course).waits = True
        elif state is TaskState.RUNNING and course.running is None:
            course.running = now

    def ended(self, course: Course, now: float, took: float | None) -> None:
        self.leave(course)
        if took is None:
            return
        kind = self._kind(course)
        self._kinds[course.kind] = self._kinds.pop(course.kind)  # the last of them ended last
        kind.total.add(took, lambda: [now - one.born for one in self._alike(course)])
        if course.running is not None and kind.waits:
            left = max(0.0, took - (course.running - course.born))
            kind.running.add(
                left, lambda: [now - one.running for one in self._alike(course) if one.running is not None]
            )

    def leave(self, course: Course) -> None:
        self._open.discard(course)

    def drain(self) -> None:
        self._draining = True

    # -- what follows from it -----------------------------------------------------------------------------------------

    def delay(self, course: Course, now: float) -> float:
        stretch = 1.0 if self._budget is None else self._stretch_at(now, self._budget)
        spacing = self._spacing(course, now, stretch)
        if self._draining:
            spacing = self._drained(spacing, stretch)
        return spacing if spacing > SHORTEST else SHORTEST  # noqa: FURB136 - `max` takes ten times as long

    def _spacing(self, course: Course, now: float, stretch: float) -> float:
        kind = self._kind(course)
        curve, age = kind.total.curve, now - course.born
        if kind.waits and kind.by_running(self._lag):
            if course.running is None:
                return kind.glance * stretch
            curve, age = kind.running.curve, now - course.running
        spacing = curve.next(age, curve.price(self._lag) * stretch * stretch) - age
        if age >= curve.known:
            spacing = min(spacing, max(LONGEST, 2.0 * self._lag) * stretch)
        return max(spacing, kind.glance * stretch) if course.pending else spacing

    def _drained(self, spacing: float, stretch: float) -> float:
        """When nothing is left to submit, the questions that free slots would need go to the tasks that are left.

        But their spacing is not cut below that of a fixed interval with the same mean lag.
        """
        return max(spacing * len(self._open) / self._most_open, min(spacing, 2.0 * self._lag * stretch))

    def _stretch_at(self, now: float, budget: float) -> float:
        """By how much more than the budget the open tasks ask for; 1 where it is enough."""
        if self._stretched_at is None or now >= self._stretched_at + _GLANCE:
            self._stretched_at = now
            demand = sum(1.0 / max(SHORTEST, self._spacing(course, now, 1.0)) for course in self._open)
            self._stretch = max(1.0, demand / budget)
        return self._stretch

    def _kind(self, course: Course) -> Kind:
        kind = self._kinds.get(course.kind)
        if kind is None:
            if len(self._kinds) >= _KINDS:
                del self._kinds[next(iter(self._kinds))]  # the one whose tasks have not ended for the longest time
            kind = self._kinds[course.kind] = Kind()
        return kind

    def _alike(self, course: Course) -> list[Course]:
        return [one for one in self._open if one.kind == course.kind]
