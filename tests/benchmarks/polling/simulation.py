"""One batch on virtual time: slots, tasks and questions, driven by a schedule of the product's own interface."""

import heapq
import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.jobs import TaskState
from pipeline.engine.learned import observed
from pipeline.engine.schedule import Course, Schedule
from tests.benchmarks.polling.workloads import SLOTS, Order, Workload

_EPOCH = 1_700_000_000.37
"""The service's clock at the beginning; its stamps are whole seconds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch came to; seconds."""

    lag: float
    """Mean, from a task's end to the question that finds it."""
    p95: float
    questions: float
    """A task."""
    makespan: float


@dataclass(slots=True)
class _Task:
    course: Course
    begins: float
    ends: float


class Simulation:
    """The slots are filled at once; a slot is free again with the answer that its task has ended."""

    def __init__(self, workload: Workload, orders: Sequence[Order], schedule: Schedule | None) -> None:
        self._schedule = schedule
        self._left = iter(orders)
        self._waiting = len(orders)
        self._machines = [0.0] * workload.machines if workload.machines else None
        self._due: list[tuple[float, int, _Task]] = []
        self._number = itertools.count()
        self._lags: list[float] = []
        self._questions = 0

    def play(self) -> Outcome:
        """To the end of the last task."""
        jobs, now = self._waiting, 0.0
        for _ in range(SLOTS):
            self._submit(0.0)
        while self._due:
            now, _, task = heapq.heappop(self._due)
            self._ask(task, now)
        p95 = statistics.quantiles(self._lags, n=20, method="inclusive")[-1]
        return Outcome(statistics.fmean(self._lags), p95, self._questions / jobs, now)

    def _submit(self, now: float) -> None:
        order = next(self._left, None)
        if order is None:
            return
        begins = now + order.waits
        if self._machines is not None:
            begins = max(begins, heapq.heappop(self._machines))
            heapq.heappush(self._machines, begins + order.runs)
        task = _Task(Course(order.kind, now), begins, begins + order.runs)
        self._put(task, now + self._schedule.begin(task.course, now) if self._schedule else task.ends)
        self._waiting -= 1
        if not self._waiting and self._schedule:
            self._schedule.drain()

    def _put(self, task: _Task, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._number), task))

    def _ask(self, task: _Task, now: float) -> None:
        self._questions += 1
        course, schedule = task.course, self._schedule
        if now < task.ends and schedule:
            schedule.saw(course, now, TaskState.PENDING if now < task.begins else TaskState.RUNNING)
            self._put(task, now + schedule.delay(course, now))
            return
        self._lags.append(now - task.ends)
        if schedule:
            stamps = (float(math.floor(_EPOCH + moment)) for moment in (course.born, task.ends))
            after = None if course.seen is None else course.seen - course.born
            schedule.ended(course, now, observed(*stamps, after, now - course.born))
        self._submit(now)


def simulate(workload: Workload, seed: int, schedule: Schedule | None) -> Outcome:
    """Play a workload; without a schedule an oracle asks in the moment in which a task ends, and only then."""
    return Simulation(workload, workload.orders(seed), schedule).play()
