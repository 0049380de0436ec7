"""A thousand writers, each of which waits until its last step is on the disk before it takes the next one.

Three ways to keep the same steps of the same jobs (intent, task id, end of the task, end of the download):

- `ledger`: the product, group commit by draining a queue;
- `per-operation`: the same statements on one SQLite connection with FULL flushes, each step a transaction of its own,
  handed to one thread, as one does with `loop.run_in_executor`
  (https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.run_in_executor);
- `journal`: one JSON line for each step, appended and flushed by a thread that drains a queue. It is the floor: it can
  answer no question, and is read whole at every start.

Prints one JSON object: steps per second, median and 99th percentile of a step in ms, and the median flush in ms.
"""

import argparse
import asyncio
import gc
import json
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from pipeline.core.jobs import Job, Source, StoredFile, Task, TaskReport, TaskState
from pipeline.ledger import Ledger, enrolment, queries, transitions
from pipeline.ledger.schema import open_for_writing, transaction

HOST = "https://api.example.com"
REPORT = TaskReport(
    TaskState.SUCCEEDED,
    "Success",
    ("https://cdn.example.com/videos/0123456789abcdef.mp4?signature=0123456789abcdef",),
    submit_time=1_700_000_000.0,
    finish_time=1_700_000_050.0,
    usage={"duration": 5},
)
PAGE = 500
"""Rows of the queue that are read at a time before the clock runs, as a run reads them before their intents."""
STEPS = ("intent", "accepted", "finished", "downloaded")

Step = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Takes the job's id and the facts to write down."""


def make_job(number: int) -> Job:
    """One row, as long as rows are."""
    name = f"job-{number:07}"
    return Job(
        job_id=name,
        digest=f"{number:064x}",
        model="Wan-AI/Wan2.2-I2V",
        input={"image_url": f"https://example.com/{number}.jpg", "prompt": "the surfer waves at the camera"},
        parameters={"resolution": ("480P", "720P")[number % 2]},
        output=f"{name}.mp4",
        source=Source("shots.csv", number + 2),
    )


def facts_of(step: str, job_id: str) -> dict[str, Any]:
    """What the step writes down about the job."""
    if step == "intent":
        return {"base_url": HOST, "body_digest": "0a" * 32, "at": 1_700_000_000.0}
    if step == "accepted":
        return {"task": Task(f"task-of-{job_id}-0123456789abcdef", HOST, f"request-{job_id}"), "at": 1_700_000_001.0}
    if step == "finished":
        return {"report": REPORT, "at": 1_700_000_051.0}
    file = StoredFile(f"videos/{job_id}.mp4", 2_482_113, "ab" * 32, REPORT.urls[0])
    return {"files": (file,), "at": 1_700_000_055.0}


# -- the writers ----------------------------------------------------------------------------------------------------


async def drive(steps: list[Step], writers: int, jobs: int, *, ids_only: bool) -> dict[str, float]:
    """Let the writers lead their jobs to the end; they begin at different steps, as jobs do in life.

    With `ids_only`, every intent is there already and only the task ids are written: steps of one statement.
    """
    taken: list[float] = []

    async def write(todo: list[tuple[Step, str, dict[str, Any]]]) -> None:
        for step, name, facts in todo:
            begun = time.perf_counter()
            await step(name, facts)
            taken.append(time.perf_counter() - begun)

    plans = []
    for writer in range(writers):
        names = [f"job-{number * writers + writer:07}" for number in range(jobs)]
        plan = [(step, name, facts_of(kind, name)) for name in names for kind, step in zip(STEPS, steps, strict=True)]
        if ids_only:
            plans.append((plan[:: len(steps)], plan[1 :: len(steps)]))
        else:
            plans.append((plan[: writer % len(steps)], plan[writer % len(steps) :]))
    await asyncio.gather(*(write(ahead) for ahead, _ in plans))
    taken.clear()
    begun = time.perf_counter()
    await asyncio.gather(*(write(rest) for _, rest in plans))
    elapsed = time.perf_counter() - begun
    cuts = statistics.quantiles(taken, n=100)
    return {"rate": len(taken) / elapsed, "p50": cuts[49] * 1000, "p99": cuts[98] * 1000}


async def with_ledger(folder: Path, writers: int, jobs: int, *, ids_only: bool) -> dict[str, float]:
    async with await Ledger.open(folder, run_id="benchmark", at=1.0) as ledger:
        await ledger.enroll(map(make_job, range(writers * jobs)), "error", 1.0)
        cursor = 0
        while page := await ledger.queued(after=cursor, limit=PAGE):
            cursor = page[-1][0]

        def step_of(name: str) -> Step:
            method = getattr(ledger, name)
            return lambda job_id, facts: method(job_id, **facts)

        return await drive([step_of(name) for name in STEPS], writers, jobs, ids_only=ids_only)


async def with_transactions(folder: Path, writers: int, jobs: int, *, ids_only: bool) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:
        one = await loop.run_in_executor(thread, open_for_writing, folder)

        def enroll() -> None:
            with transaction(one):
                enrolment.enroll(one, map(make_job, range(writers * jobs)), "error", 1.0)
                cursor = 0
                while page := queries.queued(one, None, cursor, PAGE):
                    cursor = page[-1][0]

        def write(name: str, job_id: str, facts: dict[str, Any]) -> None:
            with transaction(one):
                if name == "intent":
                    transitions.intent(one, job_id, owner="local", epoch=0, **facts)
                elif name == "downloaded":
                    transitions.downloaded(one, "benchmark", job_id, **facts)
                else:
                    getattr(transitions, name)(one, job_id, **facts)

        def step_of(name: str) -> Step:
            return lambda job_id, facts: loop.run_in_executor(thread, write, name, job_id, facts)

        await loop.run_in_executor(thread, enroll)
        found = await drive([step_of(name) for name in STEPS], writers, jobs, ids_only=ids_only)
        await loop.run_in_executor(thread, one.close)
        return found


async def with_journal(folder: Path, writers: int, jobs: int, *, ids_only: bool) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    lines: SimpleQueue[tuple[asyncio.Future[None], bytes] | None] = SimpleQueue()
    descriptor = os.open(folder / "journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def settle(group: list[asyncio.Future[None]]) -> None:
        for future in group:
            future.set_result(None)

    def flush() -> None:
        while True:
            taken = [lines.get()]
            taken += [lines.get() for _ in range(lines.qsize())]
            group = [one for one in taken if one is not None]
            os.write(descriptor, b"".join(line for _, line in group))
            os.fdatasync(descriptor)
            loop.call_soon_threadsafe(settle, [future for future, _ in group])
            if None in taken:
                return

    def step_of(name: str) -> Step:
        def append(job_id: str, facts: dict[str, Any]) -> asyncio.Future[None]:
            future: asyncio.Future[None] = loop.create_future()
            lines.put((future, json.dumps({"step": name, "job_id": job_id, **facts}, default=str).encode() + b"\n"))
            return future

        return append

    thread = Thread(target=flush)
    thread.start()
    try:
        return await drive([step_of(name) for name in STEPS], writers, jobs, ids_only=ids_only)
    finally:
        lines.put(None)
        thread.join()
        os.close(descriptor)


WAYS = {"ledger": with_ledger, "per-operation": with_transactions, "journal": with_journal}


def median_flush(folder: Path) -> float:
    """Milliseconds that appending a page and flushing it takes."""
    path, taken = folder / "flush", []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for _ in range(30):
        os.write(descriptor, bytes(4096))
        begun = time.perf_counter()
        os.fdatasync(descriptor)
        taken.append(time.perf_counter() - begun)
    os.close(descriptor)
    path.unlink()
    return statistics.median(taken) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--writers", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=4, help="that each writer leads")
    parser.add_argument("--ids-only", action="store_true", help="write the task ids alone")
    given = parser.parse_args()
    gc.set_threshold(50_000)  # it stands back, as in a run: the plans of all writers are no garbage
    flush = median_flush(given.folder)
    found = asyncio.run(WAYS[given.way](given.folder, given.writers, given.jobs, ids_only=given.ids_only))
    print(json.dumps({**found, "flush": flush}))


if __name__ == "__main__":
    main()
