"""Ceilings over whole exchanges: one timer ends what takes too long, and nothing else; on virtual time."""

import asyncio
import math

import pytest

from pipeline.core.ceilings import Ceilings
from tests.engine.fakes import now
from tests.engine.virtual import VirtualLoop, play


async def exchange(ceilings: Ceilings, ceiling: float, takes: float) -> str:
    """How an exchange ended, and when."""
    mine = ceilings.begin(ceiling, ceiling)
    try:
        await asyncio.sleep(takes)
    except asyncio.CancelledError:
        if ceilings.outlasted(mine):
            return f"outlasted at {now():g}"
        raise
    else:
        return f"answered at {now():g}"
    finally:
        ceilings.end(mine)


def test_each_exchange_ends_at_its_own_ceiling_when_many_are_under_way() -> None:
    """Whatever began first or may take longest, each gets exactly its time; those that answer in it are left alone."""

    async def story() -> list[str]:
        ceilings = Ceilings()
        return await asyncio.gather(
            exchange(ceilings, 10.0, 100.0),
            exchange(ceilings, 3.0, 100.0),
            exchange(ceilings, 3.0, 2.0),
            exchange(ceilings, 30.0, 29.0),
            exchange(ceilings, 30.0, 31.0),
        )

    assert play(story()) == [
        "outlasted at 10",
        "outlasted at 3",
        "answered at 2",
        "answered at 29",
        "outlasted at 30",
    ]


def test_one_task_has_a_ceiling_for_each_of_its_exchanges() -> None:
    """An exchange that was ended leaves nothing behind for the next one, which has its whole time."""

    async def story() -> list[str]:
        ceilings = Ceilings()
        ended = [await exchange(ceilings, 5.0, 9.0), await exchange(ceilings, 5.0, 4.0)]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(100.0)
        return ended

    assert play(story()) == ["outlasted at 5", "answered at 9"]


@pytest.mark.parametrize("cancelled_at", [1.0, 5.0])
def test_a_cancellation_stays_one_when_the_ceiling_falls_into_the_same_moment(cancelled_at: float) -> None:
    """Who sends a task home meets no timeout instead: the group that waits for it would wait for ever."""

    async def story() -> bool:
        task = asyncio.create_task(exchange(Ceilings(), 5.0, 9.0))
        asyncio.get_running_loop().call_later(cancelled_at, task.cancel)
        await asyncio.wait([task])
        return task.cancelled()

    assert play(story())


async def dribble(ceilings: Ceilings, silences: list[float]) -> str:
    """How an exchange ended that may take 10 s and be silent for 3 s, and when."""
    mine = ceilings.begin(10.0, 3.0)
    try:
        for silence in silences:
            await asyncio.sleep(silence)
            ceilings.await_more(mine, 3.0)
    except asyncio.CancelledError:
        assert ceilings.outlasted(mine)
        return f"ended at {now():g}"
    else:
        return f"answered at {now():g}"
    finally:
        ceilings.end(mine)


def test_an_exchange_ends_when_it_is_silent_or_too_long() -> None:
    """Whatever is heard allows for another silence, but for none beyond the ceiling."""

    async def story() -> list[str]:
        ceilings = Ceilings()
        return await asyncio.gather(
            dribble(ceilings, [2.0, 2.0, 2.0]),
            dribble(ceilings, [2.0, 4.0]),
            dribble(ceilings, [4.0]),
            dribble(ceilings, [2.0] * 6),
        )

    assert play(story()) == ["answered at 6", "ended at 5", "ended at 3", "ended at 10"]


def test_an_exchange_goes_on_for_ever_when_nothing_is_waited_for() -> None:
    """Time that is spent on the exchange's own work is no silence; the next wait is watched again."""

    async def story() -> str:
        ceilings = Ceilings()
        mine = ceilings.begin(math.inf, 3.0)
        mine.rest()
        await asyncio.sleep(100.0)
        ceilings.await_more(mine, 3.0)
        try:
            await asyncio.sleep(100.0)
        except asyncio.CancelledError:
            assert ceilings.outlasted(mine)
        finally:
            ceilings.end(mine)
        return f"ended at {now():g}"

    assert play(story()) == "ended at 103"


def test_no_exchange_is_ended_when_the_ceilings_are_closed() -> None:
    """The client is gone, and with it whoever asked."""

    async def story() -> str:
        ceilings = Ceilings()
        going_on = asyncio.create_task(exchange(ceilings, 5.0, 9.0))
        await asyncio.sleep(1.0)
        ceilings.close()
        return await going_on

    assert play(story()) == "answered at 9"


async def unread(ceilings: Ceilings, turns: int, pause: float = 0.0) -> str:
    """How an exchange of 5 s ended whose process was stopped for 60 s, and when.

    What it was answered takes so many turns of the loop to read, with a pause before each.
    """
    mine = ceilings.begin(5.0, 5.0)
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    assert isinstance(loop, VirtualLoop)

    def stopped() -> None:
        loop.now += 60.0
        arrived.set()

    loop.call_later(1.0, stopped)
    try:
        await arrived.wait()
        for _ in range(turns):
            await asyncio.sleep(pause)
            ceilings.await_more(mine, 5.0)
    except asyncio.CancelledError:
        assert ceilings.outlasted(mine)
        return f"ended at {now():g}"
    else:
        return f"answered at {now():g}"
    finally:
        ceilings.end(mine)


def test_what_has_arrived_is_read_when_the_process_was_stopped_beyond_the_ceiling() -> None:
    """Its answer lies in the socket when the process wakes: nothing is lost that somebody only could not read."""
    assert play(unread(Ceilings(), turns=20)) == "answered at 61"


def test_an_exchange_ends_half_a_second_later_when_nothing_had_arrived_while_the_process_was_stopped() -> None:
    """The last moment is short, whatever is still said in it."""
    assert play(unread(Ceilings(), turns=1, pause=20.0)) == "ended at 61.5"
    assert play(unread(Ceilings(), turns=100, pause=0.1)) == "ended at 61.5"


def test_an_exchange_has_one_last_moment_when_the_process_is_stopped_again_and_again() -> None:
    """A loop that is always late still ends what takes too long."""

    async def story() -> str:
        ceilings = Ceilings()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)

        def late() -> None:
            loop.now += 10.0

        for at in (4.0, 14.2):
            loop.call_at(at, late)
        return await exchange(ceilings, 5.0, 99.0)

    assert play(story()) == "outlasted at 24.2"
