"""Blocking work that a cancellation waits for."""

import asyncio
import threading
import weakref

import pytest

from pipeline.videos.threads import OwnThreads


@pytest.fixture
def threads():
    disk = OwnThreads("test")
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


async def test_no_more_threads_are_made_than_allowed_when_much_is_to_do():
    """Calls beyond the threads wait in line, in their order."""
    threads, go_on, order = OwnThreads("few", most=2), threading.Event(), []
    running: set[str] = set()

    def work(number: int) -> None:
        running.add(threading.current_thread().name)
        assert go_on.wait(10)
        order.append(number)

    calls = [threads.start(work, number) for number in range(6)]
    go_on.set()
    await asyncio.gather(*calls)
    threads.close()
    assert len(running) <= 2
    assert sorted(order) == list(range(6))


async def test_one_thread_does_it_all_when_one_call_comes_after_the_other(threads):
    """A thread that has nothing to do is used again before another one is made."""
    names = {await threads.run(lambda: threading.current_thread().name) for _ in range(5)}
    assert len(names) == 1


async def test_nobody_is_told_when_the_waiter_has_given_up(threads):
    """A future that was cancelled meanwhile is left alone, and the thread goes on to the next call."""
    go_on = threading.Event()
    forgotten = threads.start(go_on.wait, 10)
    forgotten.cancel()
    go_on.set()
    assert await threads.run(divmod, 7, 2) == (3, 1)
    assert forgotten.cancelled()


async def test_blocks_are_let_go_when_their_call_has_ended(threads):
    """A thread that waits for work holds nothing of the last one: blocks are a MiB each."""

    class Block:
        pass

    block = Block()
    gone = weakref.ref(block)
    await threads.run(id, block)
    del block
    await threads.run(divmod, 7, 2)
    await threads.run(divmod, 7, 2)
    assert gone() is None
