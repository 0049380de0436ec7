"""The whole engine on virtual time, from one seed: latencies, faults, stops and crashes, then the promises are checked.

Replay a failing seed, or run as many as you like:

    python -m tests.engine.simulate 1234
    python -m tests.engine.simulate 0:20000
"""

import asyncio
import errno
import gc
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.errors import LedgerError
from pipeline.core.events import Event, JobLeft, JobMoved, Stopping
from pipeline.core.jobs import Job, JobState, Stage
from pipeline.engine.batch import Batch, Summary
from pipeline.engine.desk import Stop
from pipeline.ledger import LEDGER_NAME, InlineCommitter, Ledger
from pipeline.settings import Settings
from tests.engine.virtual import Crash, StoppedClock, VirtualClock, VirtualLoop
from tests.engine.world import TRACEABLE, UNREADABLE, Odds, SimulatedService, SimulatedStore, World, make_job

CALM = Odds()
WAN = "Wan-AI/Wan2.2-I2V"

Line = Mapping[str, Any]
End = tuple[str, int, str | None, JobState]
"""Job, attempt, task and state."""
_ON_DISK = "SELECT state, task_id FROM jobs WHERE job_id = ?"
_STATES = {"succeeded": JobState.DONE, "failed": JobState.FAILED, "unknown": JobState.UNKNOWN}


class Violation(AssertionError):  # noqa: N818 - a promise was broken
    """The engine broke a promise."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What comes over one run from outside."""

    crash_at: int | None = None
    """The turn of the event loop at which the process dies."""
    crash_after: int | None = None
    """The event after which the process dies, before anything else can happen."""
    stop: float | None = None
    """The second at which a signal comes."""
    bug_after: int | None = None
    """So many calls go well, then a port raises what no port may raise."""
    commits: int | None = None
    """So many commits go well, then the disk is full."""
    retry_failed: bool = False
    resubmit_unknown: bool = False


QUIET = Trouble()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed decides before the first run."""

    jobs: tuple[Job, ...]
    odds: Odds
    settings: Settings
    troubled: tuple[Trouble, ...]
    """What comes over each run before the calm ones."""


@dataclass(slots=True)
class Sight:
    """What the runs looked like from outside."""

    summary: Summary | None = None
    adopted: int = 0
    asked_to_stop: float | None = None
    ended: float | None = None
    events: int = 0


@dataclass(slots=True)
class Told:
    """What all runs together have told their listeners; whoever was told may rely on it."""

    tasks: set[str] = field(default_factory=set)
    ends: Counter[End] = field(default_factory=Counter)


def plan(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(seed)

    def sometimes(chance: float, most: float) -> float:
        return rng.uniform(0, most) if rng.random() < chance else 0.0

    odds = Odds(
        lost_before=sometimes(0.3, 0.1),
        lost_after=sometimes(0.3, 0.1),
        outage=sometimes(0.4, 0.4),
        rate_limited=sometimes(0.4, 0.4),
        rejected=sometimes(0.3, 0.2),
        fatal_after=rng.randrange(1, 40) if rng.random() < 0.15 else None,
        account_limit=rng.randrange(1, 8) if rng.random() < 0.3 else None,
        status_failure=sometimes(0.4, 0.5),
        status_rate_limited=sometimes(0.3, 0.3),
        invisible=sometimes(0.3, 0.5),
        strange_word=sometimes(0.2, 0.3),
        task_failure=sometimes(0.4, 0.3),
        stuck=sometimes(0.15, 0.1),
        empty_success=sometimes(0.2, 0.3),
        second_video=sometimes(0.2, 0.5),
        link_life=rng.choice([1e9, 1e9, 20.0, 3.0]),
        cut=sometimes(0.4, 0.5),
        unusable=sometimes(0.2, 0.1),
        no_space=sometimes(0.1, 0.05),
        low_disk=sometimes(0.1, 0.3),
        unreadable=sometimes(0.1, 0.2),
        latency=rng.choice([0.01, 0.2, 2.0]),
        duration=rng.choice([1.0, 30.0, 120.0]),
    )
    settings = Settings(
        concurrency=rng.choice([1, 2, 5, 10, 20]),
        pollers=rng.choice([1, 2, 4]),
        downloads=rng.choice([1, 2, 4]),
        submit_rps=rng.choice([None, None, 2.0]),
        max_runtime=rng.choice([None, None, None, 60.0]),
        limit=rng.choice([None, None, None, 3]),
        max_backlog=rng.choice([1, 100]),
        task_timeout=rng.choice([300.0, 3600.0]),
    )
    models = rng.choice([(WAN,), (WAN,), (WAN,), (WAN, *TRACEABLE), (*TRACEABLE,)])
    jobs = tuple(make_job(f"j{n:02d}", models[n % len(models)]) for n in range(rng.randrange(1, 25)))
    return Plan(jobs, odds, settings, tuple(_trouble(rng) for _ in range(rng.randrange(1, 5))))


def _trouble(rng: random.Random) -> Trouble:
    def moment(chance: float, doublings: float) -> int | None:
        return int(2 ** rng.uniform(0, doublings)) if rng.random() < chance else None

    return Trouble(
        crash_at=moment(0.4, 12),
        crash_after=moment(0.4, 8),
        stop=rng.uniform(0, 100) if rng.random() < 0.3 else None,
        bug_after=moment(0.1, 8),
        commits=moment(0.1, 7),
        retry_failed=rng.random() < 0.1,
        resubmit_unknown=rng.random() < 0.1,
    )


def simulate(seed: int, scratch: Path) -> Counter[JobState]:
    """Run the plan of a seed to its end, in the empty folder `scratch`, and check every promise.

    Returns the final counts. Raises `Violation` with a sentence.
    """
    the = plan(seed)
    world = World(random.Random(seed + 1), the.odds, StoppedClock())
    told = Told()
    for trouble in the.troubled:
        _Run(the.settings, the.jobs, world, scratch, trouble, told).play()
    world.odds = CALM
    patient = Settings(concurrency=the.settings.concurrency, task_timeout=200_000.0)
    summary = None
    for _ in range(3):  # a failed download is tried again by the next run
        summary = _Run(patient, the.jobs, world, scratch, QUIET, told).play().summary
    if summary is None:
        raise Violation("the last run did not end")
    _check_end(the, world, scratch, summary, told)
    return Counter(summary.counts)


class _Run:
    """One process: it ends by itself, or dies in the moment that its trouble names."""

    def __init__(
        self,
        settings: Settings,
        jobs: tuple[Job, ...],
        world: World,
        scratch: Path,
        trouble: Trouble,
        told: Told,
    ) -> None:
        again = {"retry_failed": trouble.retry_failed, "resubmit_unknown": trouble.resubmit_unknown}
        self._settings = msgspec.structs.replace(settings, **again)
        self._jobs = jobs
        self._world = world
        self._scratch = scratch
        self._trouble = trouble
        self._told = told
        self._sight = Sight()
        self._commits = 0
        self._committer: InlineCommitter | None = None
        self._onlooker: sqlite3.Connection | None = None
        self._loop = VirtualLoop(self._die_in_time)

    def play(self) -> Sight:
        """Run to whatever end, and check what must hold after it."""
        world, loop = self._world, self._loop
        world.clock = VirtualClock(loop, epoch=world.now + 5.0)
        world.refused_at, world.posts_after_refusal, world.most_in_flight = None, 0, 0
        world.left.clear()
        world.bug_after = self._trouble.bug_after
        try:
            loop.run_until_complete(self._process())
        except Crash:
            if self._committer is not None:
                self._committer.crash()
            loop.abandon()
        else:
            loop.close()
            _check_run(self._settings, world, self._sight, loop)
        finally:
            if self._onlooker is not None:
                self._onlooker.close()
        return self._sight

    async def _process(self) -> None:
        """The run, and the only errors that it may end with."""
        try:
            async with await Ledger.open(
                self._scratch, run_id="r", at=self._world.now, committer=self._make_committer
            ) as ledger:
                await self._batch(ledger)
        except LedgerError:
            if self._trouble.commits is None:
                raise
        except ExceptionGroup as group:
            if self._trouble.bug_after is None or group.subgroup(ZeroDivisionError) is None:
                raise

    async def _batch(self, ledger: Ledger) -> None:
        adopted = {record.job.job_id for record in await ledger.records(JobState.RUNNING, limit=1000)}
        self._sight.adopted = len(adopted)
        world, loop = self._world, self._loop
        world.only_known(adopted)
        world.on_disk = self._on_disk
        service, store = SimulatedService(world), SimulatedStore(world)
        rng = random.Random(world.rng.random())
        batch = Batch(ledger, service, store, self._settings, clock=world.clock, listener=self._hear, rng=rng)
        if self._trouble.stop is not None:
            loop.call_later(self._trouble.stop, batch.go_home, Stop("signal", "SIGTERM received"))
        try:
            self._sight.summary = await batch.run(self._jobs)
        except (LedgerError, ExceptionGroup):
            _check_nothing_is_left(batch)
            raise
        self._sight.ended = loop.time()
        _check_nothing_is_left(batch)

    def _on_disk(self, job_id: str) -> tuple[str, str | None]:
        if self._onlooker is None:
            self._onlooker = sqlite3.connect(self._scratch / LEDGER_NAME)
        row: tuple[str, str | None] = self._onlooker.execute(_ON_DISK, (job_id,)).fetchone()
        return row

    def _make_committer(self, folder: Path) -> InlineCommitter:
        self._committer = InlineCommitter(folder, self._before_commit)
        return self._committer

    def _before_commit(self) -> None:
        self._commits += 1
        if self._trouble.commits is not None and self._commits > self._trouble.commits:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _hear(self, event: Event) -> None:
        self._sight.events += 1
        if isinstance(event, JobMoved):
            self._believe(event)
        if isinstance(event, JobLeft):
            self._world.left.add(event.job_id)
        if isinstance(event, Stopping) and event.reason in {"signal", "deadline"} and self._sight.asked_to_stop is None:
            self._sight.asked_to_stop = self._loop.time()

    def _believe(self, event: JobMoved) -> None:
        if event.task_id is not None:
            self._told.tasks.add(event.task_id)
        failure = event.outcome.failure if event.outcome else None
        if event.state.ended and not (failure and _may_come_again(failure.stage, failure.code)):
            self._told.ends[event.job.job_id, event.attempt, event.task_id, event.state] += 1

    def _die_in_time(self, turn: int) -> None:
        trouble = self._trouble
        if turn == trouble.crash_at or (trouble.crash_after is not None and self._sight.events >= trouble.crash_after):
            raise Crash


def _check_run(settings: Settings, world: World, sight: Sight, loop: VirtualLoop) -> None:
    """What must hold after each run that ended by itself."""
    if loop.lost:
        raise Violation(f"an exception was lost: {loop.lost}")
    if world.most_in_flight > max(settings.concurrency, sight.adopted):
        raise Violation(f"{world.most_in_flight} tasks were in flight on {settings.concurrency} slots")
    if world.hasty:
        raise Violation(f"a call left too early: {world.hasty}")
    summary = sight.summary
    if summary and summary.counts[JobState.QUEUED] and not summary.stops and settings.limit is None:
        raise Violation(f"{summary.counts[JobState.QUEUED]} jobs were left in the queue for no reason")
    if world.posts_after_refusal > 0:
        raise Violation(f"{world.posts_after_refusal} submits left after the account was refused")
    if sight.asked_to_stop is not None and sight.ended is not None and sight.ended - sight.asked_to_stop > 10.0:
        raise Violation(f"a stop took {sight.ended - sight.asked_to_stop:.1f} s")


def _check_nothing_is_left(batch: Batch) -> None:
    """What must hold after each run that did not die, also where a bug or the disk ended it."""
    if batch.account.slots.in_use:
        raise Violation(f"{batch.account.slots.in_use} slots were not given back")
    if [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
        raise Violation("asyncio tasks are left behind")


def _check_end(the: Plan, world: World, scratch: Path, summary: Summary, told: Told) -> None:
    """What must hold when everything has come to rest."""
    lines = [json.loads(line) for line in (scratch / "results.jsonl").read_text().splitlines()]
    latest = {line["job_id"]: line for line in lines}
    ended = sum(n for state, n in summary.counts.items() if state.ended)
    if ended != len(the.jobs) or sum(summary.counts.values()) != ended:
        raise Violation(f"not every job has ended: {dict(summary.counts)}")
    if set(latest) != {job.job_id for job in the.jobs}:
        raise Violation("the results file does not name every job")
    _check_money(the, world, latest)
    _check_memory(world, lines, told)
    _check_once(lines, told)
    for line in lines:
        if line["status"] == "succeeded":
            _check_files(world, line)
    for line in latest.values():
        if line["error"] and line["error"]["stage"] == Stage.DOWNLOAD:
            raise Violation(f"job {line['job_id']} is paid for and was not fetched in calm weather: {line['error']}")


def _check_money(the: Plan, world: World, latest: Mapping[str, Line]) -> None:
    """Nothing is paid for twice, unless a run was allowed to."""
    allowed = 1 + sum(trouble.retry_failed or trouble.resubmit_unknown for trouble in the.troubled)
    for job_id, paid in world.by_job().items():
        if paid > allowed:
            raise Violation(f"job {job_id} was paid {paid} times")
    for job_id, posts in world.risky_posts.items():
        if latest[job_id]["model"] in TRACEABLE:
            continue  # sent again under the same id of ours, which makes a second task impossible
        if posts > latest[job_id]["attempts"]:
            raise Violation(f"job {job_id}: {posts} risky requests in {latest[job_id]['attempts']} attempts")


def _check_memory(world: World, lines: Sequence[Line], told: Told) -> None:
    """Nothing is lost: neither a task that exists nor anything that a listener was told."""
    on_record = {line["task_id"] for line in lines}
    doubted = {line["job_id"] for line in lines if line["status"] == "unknown"}
    for task in world.tasks.values():
        if task.task_id not in on_record and (task.job_id not in doubted or task.task_id in told.tasks):
            raise Violation(f"task {task.task_id} is paid for and nobody knows it")
    ends = {_end_of(line) for line in lines}
    for end in told.ends:
        if end not in ends:
            raise Violation(f"an end was told that is not on record: {end}")


def _check_once(lines: Sequence[Line], told: Told) -> None:
    """An end is written and told once, apart from those that cost nothing and may come again."""
    ends = Counter(
        _end_of(line)
        for line in lines
        if not line["error"] or not _may_come_again(line["error"]["stage"], line["error"]["code"])
    )
    twice = [end for counted in (ends, told.ends) for end, n in counted.items() if n > 1]
    if twice:
        raise Violation(f"an end was written or told twice: {twice}")


def _end_of(line: Line) -> End:
    return line["job_id"], line["attempts"], line["task_id"], _STATES[line["status"]]


def _may_come_again(stage: str, code: str) -> bool:
    """A download may fail once in every run, and this machine may refuse a job as often as it is asked to buy it."""
    return stage == Stage.DOWNLOAD or code == UNREADABLE


def _check_files(world: World, line: Line) -> None:
    task = world.tasks[line["task_id"]]
    files = line["files"]
    if len(files) != task.videos:
        raise Violation(f"job {line['job_id']} has {files} and its task made {task.videos} videos")
    for file in files:
        if task.task_id not in world.files.get(file["path"], ""):
            raise Violation(f"{file['path']} is not the video of {task.task_id}")


def scratch_base() -> Path | None:
    """Where scratch folders lie in memory, on machines that have such a place."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else None


def main(argument: str) -> int:
    """Run one seed (`7`) or a range of them (`0:500`); prints the seeds that fail."""
    first, _, last = argument.partition(":")
    seeds = range(int(first), int(last) if last else int(first) + 1)
    failed, states, began = 0, Counter[JobState](), time.monotonic()
    for seed in seeds:
        scratch = Path(tempfile.mkdtemp(prefix="simulation-", dir=scratch_base()))
        try:
            states += simulate(seed, scratch)
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {error}")  # noqa: T201 - a command of its own, run by hand
            if len(seeds) == 1:
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if seed % 50 == 0:
            gc.collect()
    print(f"{len(seeds)} seeds, {failed} failed, {time.monotonic() - began:.1f} s; jobs: {dict(states)}")  # noqa: T201 - as above
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
