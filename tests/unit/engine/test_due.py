"""Due times: what comes out, when, and in which order."""

import asyncio
from typing import Any

import pytest

from pipeline.engine.due import DueQueue
from tests.engine.virtual import play


async def take(due: DueQueue[str], count: int) -> list[tuple[float, str]]:
    """The next items, each with the loop time at which it came."""
    taken = []
    for _ in range(count):
        item = await due.get()
        taken.append((asyncio.get_running_loop().time(), item))
    return taken


def test_items_come_out_at_their_time_earliest_first() -> None:
    """The order of putting does not matter, except between equal times; a time that has passed means now."""

    async def story() -> list[tuple[float, str]]:
        due = DueQueue[str]()
        for item, at in (("late", 9.0), ("first", 2.0), ("second", 2.0), ("past", -5.0)):
            due.put(item, at)
        return await take(due, 4)

    assert play(story()) == [(0.0, "past"), (2.0, "first"), (2.0, "second"), (9.0, "late")]


def test_the_timer_is_set_anew_when_an_earlier_item_comes_in() -> None:
    """Whoever waits for the next item gets one that became due before those that were known."""

    async def story() -> list[tuple[float, str]]:
        due = DueQueue[str]()
        due.put("late", 100.0)
        waiting = asyncio.create_task(take(due, 2))
        await asyncio.sleep(1.0)
        due.put("early", 3.0)
        return await waiting

    assert play(story()) == [(3.0, "early"), (100.0, "late")]


def test_nothing_comes_out_when_the_queue_was_cleared() -> None:
    """Clearing hands over every item, due or not, and the timer goes with them."""

    async def story() -> tuple[list[str], list[tuple[float, str]]]:
        due = DueQueue[str]()
        due.put("now", 0.0)
        due.put("later", 5.0)
        await asyncio.sleep(1.0)
        cleared = due.clear()
        due.put("afterwards", 20.0)
        return cleared, await take(due, 1)

    cleared, taken = play(story())
    assert sorted(cleared) == ["later", "now"]
    assert taken == [(20.0, "afterwards")]


def test_an_item_stays_when_the_waiter_that_it_woke_is_cancelled() -> None:
    """A poller that is sent home in the moment in which an item becomes due takes nothing with it."""

    async def story() -> list[str]:
        due = DueQueue[str]()
        due.put("watch", 1.0)
        waiting = asyncio.create_task(due.get())
        asyncio.get_running_loop().call_at(1.0, waiting.cancel)
        await asyncio.wait({waiting})
        return due.clear() if waiting.cancelled() else [waiting.result()]

    assert play(story()) == ["watch"]


async def take_with(due: DueQueue[str], takers: int, count: int) -> list[tuple[float, str]]:
    """The next items, as so many takers at a time get them, each of whom is busy for two seconds with each."""
    taken: list[tuple[float, str]] = []

    async def taker() -> None:
        while len(taken) < count:
            taken.extend(await take(due, 1))
            await asyncio.sleep(2.0)

    crew = [asyncio.create_task(taker()) for _ in range(takers)]
    await asyncio.wait(crew, return_when=asyncio.FIRST_COMPLETED)
    for one in crew:
        one.cancel()
    await asyncio.wait(crew)
    return taken[:count]


def test_no_more_come_out_than_the_rate_allows() -> None:
    """Half a second lies between two items at two a second, also after a long rest; the order is that of the dues."""

    async def story() -> list[tuple[float, str]]:
        due = DueQueue[str](rate=2.0)
        for number in range(3):
            due.put(f"early {number}", float(number) / 10)
        first = await take_with(due, 4, 3)
        for number in reversed(range(3)):
            due.put(f"late {number}", 100.0 + float(number) / 10)
        return first + await take_with(due, 4, 3)

    assert play(story()) == [
        *[(0.0, "early 0"), (0.5, "early 1"), (1.0, "early 2")],
        *[(100.0, "late 0"), (100.5, "late 1"), (101.0, "late 2")],
    ]


def test_what_was_due_first_goes_first_when_nobody_was_free_to_take_it() -> None:
    """Items that had to wait for a taker are overtaken by what was due before them."""

    async def story() -> list[tuple[float, str]]:
        due = DueQueue[str]()
        due.put("first", 0.0)
        due.put("third", 1.0)
        taking = asyncio.create_task(take_with(due, 1, 3))
        await asyncio.sleep(1.5)
        due.put("second", 0.5)
        return await taking

    assert play(story()) == [(0.0, "first"), (2.0, "second"), (4.0, "third")]


@pytest.mark.both_loops
async def test_nobody_turns_in_circles_when_the_loop_wakes_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that counts whole milliseconds needs two timers at most, and nothing comes before its time."""
    loop, due = asyncio.get_running_loop(), DueQueue[str]()
    call_at, timers = loop.call_at, []

    def counted(when: float, *callback: Any, **context: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *callback, **context)

    monkeypatch.setattr(loop, "call_at", counted)
    for tenths in range(10):
        at = loop.time() + 0.002 + tenths / 10_000
        due.put("item", at)
        await due.get()
        assert loop.time() >= at
    assert len(timers) <= 20
