"""Blocking work that a cancellation waits for."""

import asyncio
import threading

import pytest

from pipeline.videos.threads import DiskThreads


@pytest.fixture
def threads():
    disk = DiskThreads()
    yield disk
    disk.close()


async def test_result_is_returned_when_the_work_ends(threads):
    """The call's value and the call's error reach the waiter."""
    assert await threads.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_cancellation_is_passed_on_only_when_the_work_has_ended(threads, fails):
    """A thread cannot be stopped: whoever waits, waits to its end, and hears the cancellation rather than the error."""
    started, go_on = threading.Event(), threading.Event()

    def work():
        started.set()
        assert go_on.wait(10)
        if fails:
            raise ValueError("unheard")

    waiter = asyncio.create_task(threads.run(work))
    await asyncio.to_thread(started.wait)
    for _ in range(3):
        waiter.cancel()
        await asyncio.wait([waiter], timeout=0.005)
        assert not waiter.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiter
