"""The account: who may submit when, on virtual time."""

import asyncio
import random

from pipeline.engine.account import Account
from pipeline.engine.backoff import Backoff
from pipeline.engine.ceiling import Ceiling
from pipeline.engine.pace import Pace
from tests.engine.fakes import LoopClock, now
from tests.engine.virtual import play
from tests.engine.world import make_job

JOB = make_job("a")


def make_account(ceiling: int = 4, rps: float | None = None) -> Account:
    pace = Pace(ceiling, rps=rps, longest_pause=60.0, backoff=Backoff(rng=random.Random(1)))
    return Account(pace, LoopClock())


async def submit(account: Account, left: list[float], takes: float = 1.0) -> bool:
    """One accepted submit; notes when it left. False where it was not allowed to."""
    place = await account.turn()
    if place is None:
        return False
    left.append(now())
    await asyncio.sleep(takes)
    account.accepted()
    place.give_back()
    return True


def test_submits_leave_in_doubling_numbers_when_all_are_accepted() -> None:
    """One, then two, then four: nobody learns about a wrong key from a hundred requests."""

    async def story() -> list[float]:
        account, left = make_account(), list[float]()
        await asyncio.gather(*(submit(account, left) for _ in range(8)))
        return left

    assert play(story()) == [0.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 3.0]


def test_submits_leave_at_the_rate_when_one_is_set() -> None:
    """With two a second they leave half a second apart, however wide the window is."""

    async def story() -> list[float]:
        account, left = make_account(rps=2.0), list[float]()
        await asyncio.gather(*(submit(account, left, takes=0.0) for _ in range(5)))
        return left

    assert play(story()) == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_submits_wait_when_another_call_was_told_to_slow_down() -> None:
    """A pause that a status question was given holds submits as well."""

    async def story() -> list[float]:
        account, left = make_account(), list[float]()
        account.hold(7.0)
        await submit(account, left)
        return left

    assert play(story()) == [7.0]


def test_everybody_goes_home_when_submitting_stops() -> None:
    """Who waits for a slot, for the window or for the end of a pause learns at once that nothing leaves any more."""

    async def story() -> tuple[list[bool], object, float]:
        account, left = make_account(ceiling=1), list[float]()
        account.slots.seize()
        account.hold(1000.0)
        slot = asyncio.create_task(account.slots.take())
        waiting = [asyncio.create_task(submit(account, left)) for _ in range(2)]
        await asyncio.sleep(3.0)
        account.stop()
        return await asyncio.gather(*waiting), await slot, now()

    assert play(story()) == ([False, False], None, 3.0)


def test_the_slots_follow_the_pace_when_submits_are_refused() -> None:
    """A refused burst takes slots away, and accepted rounds bring them back one by one."""

    async def story() -> list[int]:
        account = make_account(ceiling=3)
        account.rate_limited(None, 0)
        limits = [account.slots.limit]
        for _ in range(5):
            account.accepted()
            limits.append(account.slots.limit)
        return limits

    assert play(story()) == [2, 2, 3, 3, 3, 3]


def searching() -> tuple[Account, list[int]]:
    """An account that looks for its slots, and the numbers that were told."""
    told: list[int] = []
    pace = Pace(Ceiling(), rps=None, longest_pause=60.0, backoff=Backoff(rng=random.Random(1)))
    return Account(pace, LoopClock(), told.append), told


def test_the_slots_grow_when_a_search_sees_tasks_come_and_go() -> None:
    """Each slot tells how long its task stayed; when a wave took as long as the one before, there is room for more."""

    async def story() -> tuple[int, list[int]]:
        account, told = searching()
        account.begin_at(None)
        for _ in range(2):
            slots = [account.slots.seize() for _ in range(4)]
            for running, slot in enumerate(slots, 1):
                account.accepted(running)
                account.occupied(slot, JOB, 4)
            await asyncio.sleep(50.0)
            for slot in slots:
                slot.give_back()
        return account.slots.in_use, told

    in_use, told = play(story())
    assert in_use == 0
    assert told == [4, 5]


def test_slots_that_come_back_say_nothing_when_submitting_has_stopped() -> None:
    """At the end of a run slots are given up although their tasks go on."""

    async def story() -> str | None:
        account, _ = searching()
        slots = [account.slots.seize() for _ in range(4)]
        for slot in slots:
            account.occupied(slot, JOB, 4)
        account.stop()
        for slot in slots:
            slot.give_back()
        return account.found

    assert play(story()) == Ceiling().memory


def test_nothing_is_searched_when_a_number_was_given() -> None:
    """A number is a hard ceiling: nothing is learned, remembered or taken from memory."""

    async def story() -> tuple[str | None, int]:
        account = make_account(ceiling=3)
        account.begin_at('{"slots": 37, "limited": true}')
        slot = account.slots.seize()
        account.occupied(slot, JOB, 1)
        assert slot.on_return is None
        return account.found, account.slots.limit

    assert play(story()) == (None, 3)
