"""When other clients ask, as schedules for our own poller pool: their delays depend on the number of questions alone.

- fixed: a loop with a sleep in it, as the quick starts of most task APIs show, at whatever interval seemed polite;
- geometric: 1 s, then half as long again each time, up to 10 s, as generic retry helpers make of "not yet"
  (https://github.com/litl/backoff `expo`, https://github.com/jd/tenacity `wait_exponential`, with a ceiling);
- step: at once, then 1, 1, 2, 2, 2, 4, 4, 4, 5, 5, … s, as `BaseAsyncApi.wait` of the DashScope SDK waits for videos
  (https://github.com/dashscope/dashscope-sdk-python, `dashscope/client/base_api.py`).
"""

from collections.abc import Callable

from pipeline.core.jobs import TaskState
from pipeline.engine.schedule import Course


class Intervals:
    """A `Schedule` that learns nothing. `delays` says how long to wait after so many questions; `speed` divides it."""

    def __init__(self, delays: Callable[[int], float], speed: float = 1.0) -> None:
        self._delays = delays
        self._speed = speed
        self._asked: dict[Course, int] = {}

    def begin(self, course: Course, now: float) -> float:
        self._asked[course] = 0
        return self.delay(course, now)

    def delay(self, course: Course, now: float) -> float:
        return self._delays(self._asked.get(course, 0)) / self._speed

    def saw(self, course: Course, now: float, state: TaskState) -> None:
        self._asked[course] += 1

    def ended(self, course: Course, now: float, took: float | None) -> None:
        self.leave(course)

    def leave(self, course: Course) -> None:
        self._asked.pop(course, None)

    def drain(self) -> None:
        """It makes no difference."""


def fixed(seconds: float) -> Callable[[int], float]:
    """The same delay each time."""
    return lambda _asked: seconds


def geometric(asked: int) -> float:
    """1 s, growing by a half, up to 10 s."""
    return float(min(10.0, 1.5 ** min(asked, 20)))


def step(asked: int) -> float:
    """At once, then doubling after every third question, up to 5 s."""
    if asked == 0:
        return 0.0
    return float(min(5, 2 ** (asked // 3)))


PEERS: dict[str, Callable[[int], float]] = {
    **{f"fixed {seconds:g} s": fixed(seconds) for seconds in (0.5, 1.0, 2.0, 5.0, 10.0)},
    "geometric 1→10 s": geometric,
    "step 1→5 s": step,
}
