"""The queue of jobs: order, limit, selection, what comes back, and models that are out of bounds; on a real ledger."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.core.jobs import Record
from pipeline.engine.queue import JobQueue
from pipeline.ledger import Ledger
from tests.engine.world import make_job


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """A fresh ledger."""
    async with await Ledger.open(tmp_path, run_id="r", at=0.0, committer="inline") as opened:
        yield opened


async def enroll(ledger: Ledger, *names: str, model: str = "m") -> None:
    await ledger.enroll([make_job(name, model) for name in names], "error", 0.0)


async def some(jobs: JobQueue, count: int) -> list[Record]:
    """The next jobs; they stay out."""
    taken = [await jobs.next() for _ in range(count)]
    return [record for record in taken if record is not None]


def names(records: list[Record]) -> list[str]:
    return [record.job.job_id for record in records]


async def drained(jobs: JobQueue) -> list[str]:
    """Every job until there are no more, each settled at once."""
    taken = []
    while (record := await jobs.next()) is not None:
        taken.append(record.job.job_id)
        jobs.settled()
    return taken


async def test_jobs_come_in_the_order_of_the_manifest_over_many_pages(ledger: Ledger) -> None:
    """The queue reads a hundred at a time, and nothing shows where a page ends."""
    wanted = [f"j{n:03d}" for n in range(201)]
    await enroll(ledger, *wanted)
    assert await drained(JobQueue(ledger)) == wanted


async def test_a_refused_job_comes_next_when_it_is_handed_back_first(ledger: Ledger) -> None:
    """A job handed back at the front is the next one; one handed back at the end comes after all others."""
    await enroll(ledger, "a", "b", "c")
    jobs = JobQueue(ledger)
    a, b = await some(jobs, 2)
    jobs.hand_back(a, first=False)
    jobs.hand_back(b, first=True)
    assert await drained(jobs) == ["b", "c", "a"]


async def test_the_end_is_not_told_while_a_job_may_come_back(ledger: Ledger) -> None:
    """With the last job still out, `next` waits: it gives the job again or, when it is settled, the end."""
    await enroll(ledger, "a", "b")
    jobs = JobQueue(ledger)
    a, _ = await some(jobs, 2)
    waiting = asyncio.create_task(jobs.next())
    await asyncio.sleep(0)
    jobs.settled()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    jobs.hand_back(a, first=False)
    assert await waiting == a
    jobs.settled()
    assert await jobs.next() is None


@pytest.mark.parametrize(("limit", "given"), [(0, []), (2, ["a", "b"]), (3, ["a", "b", "c"]), (4, ["a", "b", "c"])])
async def test_no_more_jobs_than_the_limit_are_given_out(ledger: Ledger, limit: int, given: list[str]) -> None:
    """The limit counts jobs that were bought or ended; at the limit the queue is empty."""
    await enroll(ledger, "a", "b", "c")
    assert await drained(JobQueue(ledger, limit=limit)) == given


async def test_a_job_that_comes_back_does_not_use_up_the_limit(ledger: Ledger) -> None:
    """A submit that surely created nothing may be tried again within the same limit."""
    await enroll(ledger, "a", "b", "c")
    jobs = JobQueue(ledger, limit=2)
    (a,) = await some(jobs, 1)
    jobs.hand_back(a, first=True)
    assert await drained(jobs) == ["a", "b"]


async def test_only_matching_jobs_are_given_out_when_a_pattern_is_set(ledger: Ledger) -> None:
    """The pattern is a shell's: case matters, `*`, `?` and sets work."""
    await enroll(ledger, "a1", "b1", "a2", "A3", "a10")
    assert await drained(JobQueue(ledger, select="a?")) == ["a1", "a2"]
    assert await drained(JobQueue(ledger, select="[!a]*")) == ["b1", "A3"]


async def test_jobs_of_a_blocked_model_stay_queued(ledger: Ledger) -> None:
    """A blocked model is passed over, also where a job of it had been handed back; the limit is not used up by it."""
    await enroll(ledger, "x1", "x2", model="x")
    await enroll(ledger, "y1", "y2", model="y")
    jobs = JobQueue(ledger, limit=2)
    (x1,) = await some(jobs, 1)
    jobs.block("x")
    jobs.hand_back(x1, first=True)
    assert await drained(jobs) == ["y1", "y2"]
    assert await ledger.submit_queue_size() == 4
