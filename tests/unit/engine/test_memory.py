"""What reaches the ledger of a run's learning, and when."""

from pathlib import Path

from pipeline.engine.durations import KEY, typical
from pipeline.engine.memory import Memory
from pipeline.engine.schedule import Course, LearnedSchedule
from pipeline.ledger import Ledger


class HandClock:
    """A clock that is set by hand."""

    now = 0.0

    def time(self) -> float:
        return 1_700_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now


def ends(schedule: LearnedSchedule, took: float) -> None:
    """A task ends."""
    course = Course("a", 0.0)
    schedule.begin(course, 0.0)
    schedule.ended(course, took, took)


async def test_learning_is_kept_with_an_end_when_a_minute_has_passed(tmp_path: Path) -> None:
    """A crash costs a minute of learning; the end of a run costs none, and nothing is written twice."""
    schedule, clock = LearnedSchedule(), HandClock()
    async with await Ledger.open(tmp_path, run_id="r", at=0.0, committer="inline") as ledger:
        memory = Memory(ledger, schedule, clock)
        await memory.recall()
        ends(schedule, 50.0)
        clock.now = 59.9
        memory.learned()
        assert await ledger.recall(KEY) is None
        clock.now = 60.0
        memory.learned()
        assert typical(await ledger.recall(KEY), "a")
        ends(schedule, 9.0)
        clock.now = 119.9
        memory.learned()
        before = await ledger.recall(KEY)
        memory.keep()
        after = await ledger.recall(KEY)
        assert before != after
        await ledger.remember(KEY, "somebody else's")
        memory.keep()
        assert await ledger.recall(KEY) == "somebody else's"


async def test_nothing_is_raised_when_the_ledger_is_broken(tmp_path: Path) -> None:
    """Whoever needs the ledger tells of it; learning does not get in the way."""
    schedule, clock = LearnedSchedule(), HandClock()
    ledger = await Ledger.open(tmp_path, run_id="r", at=0.0, committer="inline")
    memory = Memory(ledger, schedule, clock)
    ends(schedule, 50.0)
    ledger._committer.crash()  # type: ignore[union-attr] # the committer that was asked for has it
    memory.keep()
