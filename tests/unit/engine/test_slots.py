"""Slots: who gets one, in which order, and what happens when the number changes or a waiter leaves."""

import asyncio

import pytest

from pipeline.engine.slots import Slot, Slots


async def settle() -> None:
    """Let every coroutine that can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


def line_up(slots: Slots, count: int) -> tuple[list["asyncio.Task[Slot | None]"], list[int]]:
    """So many waiters, and the order in which they were served."""
    served: list[int] = []

    async def wait(number: int) -> Slot | None:
        slot = await slots.take()
        served.append(number)
        return slot

    return [asyncio.create_task(wait(number)) for number in range(count)], served


async def test_a_slot_is_free_up_to_the_limit_and_not_one_past_it() -> None:
    """As many slots as the limit says are given out at once; the next one waits."""
    slots = Slots(2)
    waiters, served = line_up(slots, 3)
    await settle()
    assert served == [0, 1]
    assert slots.in_use == slots.limit == 2
    slots.close()
    await asyncio.gather(*waiters)


async def test_waiters_are_served_in_order_when_slots_come_back() -> None:
    """Whoever waits longest is served first, also where several slots come back at once and somebody new comes."""
    slots = Slots(2)
    held = [slots.seize(), slots.seize()]
    waiters, served = line_up(slots, 3)
    await settle()
    for slot in held:
        slot.give_back()
    newcomer, _ = line_up(slots, 1)
    await settle()
    assert served == [0, 1]
    assert not newcomer[0].done()
    (first := waiters[0].result()) and first.give_back()
    await settle()
    assert served == [0, 1, 2]
    slots.close()
    assert await newcomer[0] is None


async def test_waiters_get_in_when_the_limit_grows() -> None:
    """A higher limit serves as many waiters as it adds."""
    slots = Slots(1)
    waiters, served = line_up(slots, 4)
    await settle()
    slots.resize(3)
    await settle()
    assert served == [0, 1, 2]
    assert slots.in_use == 3
    slots.close()
    await asyncio.gather(*waiters)


async def test_nobody_gets_in_when_the_limit_shrank_below_what_is_in_use() -> None:
    """A lower limit takes no slot away, and slots that come back are not given out until they are below it."""
    slots = Slots(3)
    held = [slots.seize() for _ in range(3)]
    slots.resize(2)
    waiters, served = line_up(slots, 1)
    held.pop().give_back()
    await settle()
    assert slots.in_use == 2
    assert served == []
    held.pop().give_back()
    await settle()
    assert served == [0]
    slots.close()
    await asyncio.gather(*waiters)


async def test_running_tasks_get_slots_when_the_limit_is_reached() -> None:
    """A task that already runs is counted, whatever the limit; new ones wait until there is room again."""
    slots = Slots(1)
    held = [slots.seize() for _ in range(3)]
    waiters, served = line_up(slots, 1)
    for in_use in (2, 1):
        held.pop().give_back()
        await settle()
        assert slots.in_use == in_use
        assert served == []
    held.pop().give_back()
    await settle()
    assert served == [0]
    slots.close()
    await asyncio.gather(*waiters)


async def test_the_next_waiter_is_served_when_one_is_cancelled_before_its_turn() -> None:
    """A waiter that leaves the line costs nobody a slot, not even in the moment in which a slot comes back."""
    slots = Slots(1)
    held = slots.seize()
    waiters, served = line_up(slots, 2)
    await settle()
    waiters[0].cancel()
    held.give_back()
    await settle()
    assert served == [1]
    assert slots.in_use == 1


async def test_the_next_waiter_is_served_when_one_is_cancelled_after_its_turn_came() -> None:
    """A slot that was on its way to a cancelled waiter goes to the next one."""
    slots = Slots(1)
    held = slots.seize()
    waiters, served = line_up(slots, 2)
    await settle()
    held.give_back()
    waiters[0].cancel()
    await settle()
    assert served == [1]
    assert waiters[0].cancelled()
    assert slots.in_use == 1


async def test_giving_back_raises_when_it_is_done_twice() -> None:
    """A slot has one owner, and coming back twice is a bug that is seen."""
    slots = Slots(1)
    slot = slots.seize()
    slot.give_back()
    with pytest.raises(RuntimeError, match="given back before"):
        slot.give_back()
    assert slots.in_use == 0


async def test_every_waiter_goes_home_when_the_slots_are_closed() -> None:
    """Present and future waiters get None, and slots in use still come back."""
    slots = Slots(1)
    held = slots.seize()
    waiters, _ = line_up(slots, 2)
    await settle()
    slots.close()
    assert await asyncio.gather(*waiters) == [None, None]
    assert await slots.take() is None
    held.give_back()
    assert slots.in_use == 0
    assert await slots.take() is None


async def test_the_holder_is_told_when_its_slot_has_come_back() -> None:
    """What the holder left there is called once, when the slot is free again."""
    slots, seen = Slots(1), list[int]()
    slot = slots.seize()
    slot.on_return = lambda: seen.append(slots.in_use)
    assert seen == []
    slot.give_back()
    assert seen == [0]
