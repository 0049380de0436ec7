"""Patience: how long the end of a run is waited for."""

import asyncio

from pipeline.engine.patience import Patience
from tests.engine.virtual import play


def test_whoever_waits_goes_on_when_patience_is_shortened() -> None:
    """Those who wait already and those who come later have until the same moment, and a later wish adds nothing."""

    async def story() -> list[float]:
        loop, patience, ended = asyncio.get_running_loop(), Patience(), list[float]()

        async def wait() -> None:
            async with patience.limit():
                await asyncio.sleep(1000.0)
            ended.append(loop.time())

        first = asyncio.create_task(wait())
        await asyncio.sleep(10.0)
        patience.shorten(5.0)
        patience.shorten(50.0)
        await asyncio.gather(first, wait())
        await wait()
        return ended

    assert play(story()) == [15.0, 15.0, 15.0]


def test_what_ends_in_time_is_not_waited_for_longer() -> None:
    """Without an end in sight a wait lasts as long as what is waited for."""

    async def story() -> float:
        patience = Patience()
        async with patience.limit():
            await asyncio.sleep(7.0)
        patience.shorten(0.0)
        return asyncio.get_running_loop().time()

    assert play(story()) == 7.0
