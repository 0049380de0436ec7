"""The queue of jobs: order, limit, selection, what comes back, and models that are out of bounds; on a real ledger."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.jobs import Job, Record
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
    assert await drained(JobQueue(ledger, select="[^a]*")) == ["b1", "A3"]


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


# -- by class ---------------------------------------------------------------------------------------------------------


def of_length(name: str, seconds: int, model: str = "m") -> Job:
    """A job whose class is its length."""
    return replace(make_job(name, model), digest=name, parameters={"duration": seconds})


async def enroll_lengths(ledger: Ledger, **lengths: int) -> None:
    await ledger.enroll([of_length(name, seconds) for name, seconds in lengths.items()], "error", 0.0)


def by_length(job: Job) -> float:
    return float(job.parameters["duration"])


async def test_the_longest_class_comes_first_when_that_is_asked_for(ledger: Ledger) -> None:
    """Classes in the order of their durations, each in the order of the manifest."""
    await enroll_lengths(ledger, a=5, b=10, c=8, d=10, e=5)
    assert await drained(JobQueue(ledger, order="longest-first", seconds=by_length)) == ["b", "d", "c", "a", "e"]


async def test_the_order_is_the_manifests_when_durations_are_alike_or_unknown(ledger: Ledger) -> None:
    """Classes that differ by less than a tenth, or not by what anybody knows, are not taken apart."""
    await enroll_lengths(ledger, a=9, b=10, c=9, d=10)
    jobs = JobQueue(ledger, order="longest-first", seconds=lambda job: 91.0 if by_length(job) == 9 else 100.0)
    assert await drained(jobs) == ["a", "b", "c", "d"]
    await ledger.enroll([make_job(name, name) for name in ("z", "y")], "error", 0.0)
    assert (await drained(JobQueue(ledger, order="longest-first")))[-2:] == ["z", "y"]


@pytest.mark.parametrize(("slots", "limit", "first"), [(1, None, "b"), (1, 4, "b"), (1, 3, "a"), (0, None, "a")])
async def test_auto_leaves_the_order_of_the_manifest_when_the_batch_is_small_and_whole(
    ledger: Ledger, slots: int, limit: int | None, first: str
) -> None:
    """Below ten jobs a slot, and where no limit picks some of them."""
    await enroll_lengths(ledger, a=5, b=10, c=5, d=10)
    (record,) = await some(JobQueue(ledger, order="auto", slots=slots, limit=limit, seconds=by_length), 1)
    assert record.job.job_id == first


async def test_classes_are_ranked_anew_when_something_is_learned_meanwhile(ledger: Ledger) -> None:
    """What the first jobs of a run show about the durations changes the order of the rest."""
    await enroll_lengths(ledger, **{f"{kind}{n:02d}": ord(kind) for n in range(60) for kind in "ab"})
    seconds = {"a": 50.0, "b": 50.0}
    jobs = JobQueue(ledger, order="longest-first", seconds=lambda job: seconds[job.job_id[0]])
    for record in await some(jobs, 10):
        assert record.job.job_id[1:] < "05"
        jobs.settled()
    seconds["b"] = 150.0
    rest = await drained(jobs)
    assert [name[0] for name in rest[40:75]] == ["b"] * 35
    assert len(rest) == 110


async def test_what_comes_back_keeps_its_place_when_classes_are_ranked(ledger: Ledger) -> None:
    """A job handed back at the front is the next one, whatever its class; one handed back at the end is the last."""
    await enroll_lengths(ledger, a=5, b=10, c=10, d=5)
    jobs = JobQueue(ledger, order="longest-first", seconds=by_length)
    b, c = await some(jobs, 2)
    jobs.hand_back(b, first=False)
    jobs.hand_back(c, first=True)
    assert await drained(jobs) == ["c", "a", "d", "b"]


async def test_limit_pattern_and_blocked_models_hold_when_classes_are_ranked(ledger: Ledger) -> None:
    """The order changes which jobs come first and nothing else."""
    rows = [of_length(f"{model}{n}", n, model) for model in ("x", "y") for n in (5, 8, 10)]
    await ledger.enroll(rows, "error", 0.0)
    jobs = JobQueue(ledger, order="longest-first", seconds=by_length, select="[xy]?", limit=2)
    jobs.block("x")
    assert await drained(jobs) == ["y8", "y5"]


async def test_nothing_is_lost_when_classes_span_many_pages(ledger: Ledger) -> None:
    """Every job comes once, the longest class first."""
    await ledger.enroll([of_length(f"j{n:03d}", n % 3) for n in range(400)], "error", 0.0)
    names_ = await drained(JobQueue(ledger, order="longest-first", seconds=by_length))
    wanted = [f"j{n:03d}" for length in (2, 1, 0) for n in range(400) if n % 3 == length]
    assert names_ == wanted


async def test_the_order_is_the_manifests_when_there_are_more_classes_than_anybody_can_rank(ledger: Ledger) -> None:
    """A batch of nothing but classes is streamed as it is; one class fewer is ranked."""
    await ledger.enroll([of_length(f"j{n:04d}", n) for n in range(1001)], "error", 0.0)
    jobs = JobQueue(ledger, order="longest-first", seconds=by_length)
    assert names(await some(jobs, 2)) == ["j0000", "j0001"]
    few = JobQueue(ledger, order="longest-first", seconds=by_length, select="j0*")
    assert names(await some(few, 1)) == ["j0900"]
