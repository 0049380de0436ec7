"""Ends exchanges that outlast their ceilings, with one timer for all of them: a timeout object each would cost more."""

import asyncio
import math
from typing import Any, NamedTuple

_Task = asyncio.Task[Any]


class _Ceiling(NamedTuple):
    at: float
    """Loop time."""
    cancelling: int
    """Cancellations that the task had on it when it began."""


class Ceilings:
    """The exchanges under way, each in a task of its own for its time."""

    def __init__(self) -> None:
        self._open: dict[_Task, _Ceiling] = {}
        self._overdue: dict[_Task, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = math.inf

    def begin(self, seconds: float) -> _Task:
        """The running task begins an exchange that may take so long; hand what comes back to `end`, always."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an exchange needs a task to run in")
        ceiling = self._open[task] = _Ceiling(task.get_loop().time() + seconds, task.cancelling())
        if ceiling.at < self._looks_at:
            self._look_at(ceiling.at)
        return task

    def outlasted(self, task: _Task) -> bool:
        """Whether a cancellation that has just arrived in the task was its ceiling's, and nobody else's."""
        before = self._overdue.pop(task, None)
        return before is not None and task.uncancel() <= before

    def end(self, task: _Task) -> None:
        """The exchange is over."""
        self._open.pop(task, None)
        if self._overdue.pop(task, None) is not None:
            task.uncancel()  # an answer came all the same

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._looks_at = None, math.inf

    def _look_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._looks_at = asyncio.get_running_loop().call_at(at, self._look), at

    def _look(self) -> None:
        self._timer, self._looks_at = None, math.inf
        now = asyncio.get_running_loop().time()
        for task in [task for task, ceiling in self._open.items() if ceiling.at <= now]:
            self._overdue[task] = self._open.pop(task).cancelling
            task.cancel()
        if self._open:
            self._look_at(min(ceiling.at for ceiling in self._open.values()))
