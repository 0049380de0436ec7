"""When to ask next how a task stands. Pure: the pollers bring the age, the schedule answers with a delay."""

from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """The seam between the poller pool and the rule it follows."""

    def delay(self, *, asked: int, age: float) -> float:
        """Seconds until the next question about a task that was asked about `asked` times and is `age` seconds old."""


@dataclass(frozen=True, slots=True)
class GrowingSchedule:
    """A first delay that grows by a constant factor up to a ceiling; seconds."""

    first: float = 1.0
    growth: float = 1.25
    maximum: float = 10.0

    def delay(self, *, asked: int, age: float) -> float:  # noqa: ARG002 - the age is for schedules that learn
        steps = min(asked, 1000)  # keeps the power a finite float; any ceiling is reached long before
        try:
            return min(self.maximum, self.first * self.growth**steps)
        except OverflowError:
            return self.maximum
