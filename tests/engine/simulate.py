"""The whole engine on virtual time, from one seed: latencies, faults, stops and crashes, then the promises are checked.

Replay a failing seed, or run as many as you like on all cores:

    python -m tests.engine.simulate 1234
    python -m tests.engine.simulate 0:20000
"""

import asyncio
import gc
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.errors import LedgerError, StoppedError, UsageError
from pipeline.core.jobs import JobState
from pipeline.engine.batch import Batch, Summary
from pipeline.engine.desk import Stop
from pipeline.ledger import RESULTS_NAME, Ledger
from tests.engine.checker import Sight, Violation, check_life, check_results, check_run, check_watch, require
from tests.engine.disk import Disk
from tests.engine.plans import Plan, Round, plan
from tests.engine.service import SimulatedService
from tests.engine.snapshot import snapshot
from tests.engine.store import SimulatedStore
from tests.engine.virtual import Crash, StoppedClock, VirtualClock, VirtualLoop, WallClock
from tests.engine.watching import Told, Watch
from tests.engine.world import Odds, SimulatedPrices, World

CALM = Odds()
_CALM_RUNS = 3
"""A failed download is tried again by the next run."""
_ENDLESS = 400_000
"""Turns of the event loop after which a run is taken to go on for ever; the longest good ones need a tenth."""
_CHUNK = 50
"""Seeds that a process runs before it reports."""


@dataclass(slots=True)
class Tale:
    """What came over one seed, or over many."""

    jobs: Counter[JobState] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    """Faults and decisions, and how often."""
    seeds: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, other: "Tale") -> None:
        """Take in another tale."""
        self.jobs += other.jobs
        self.met += other.met
        self.seeds += other.seeds
        self.violations += other.violations


def simulate(seed: int, scratch: Path) -> Tale:
    """Run the plan of a seed to its end, in the empty folder `scratch`, and check every promise.

    Raises `Violation` with a sentence that names the seed, whatever went wrong.
    """
    try:
        return _live(plan(seed), seed, scratch)
    except Violation as violation:
        raise Violation(f"seed {seed}: {violation}") from violation
    except Exception as error:
        raise Violation(f"seed {seed}: a run ended with {_leaves(error)}") from error


def _live(the: Plan, seed: int, scratch: Path) -> Tale:
    """All runs of a seed, the troubled ones and the calm ones."""
    world = World(random.Random(seed + 1), the.odds, StoppedClock(), the.closed_model)
    life = _Life(scratch, world)
    for number, the_round in enumerate(the.rounds):
        life.run(the_round, number)
    world.odds = CALM
    summary = None
    for number in range(_CALM_RUNS):
        summary = life.run(the.last, number)
    require(summary is not None, "the last run did not end in order")
    last = snapshot(scratch)
    check_life(scratch, world, life.told, [job.job_id for job in the.last.rows], last)
    return Tale(Counter(row.state for row in last.rows.values()), world.met, seeds=1)


class _Life:
    """One output folder, over all runs."""

    def __init__(self, scratch: Path, world: World) -> None:
        self._scratch = scratch
        self._world = world
        self._ahead = 0.0
        self.told = Told()

    def run(self, the: Round, number: int) -> Summary | None:
        """One process, five seconds after the one before, and what must hold after it."""
        if the.results_gone:
            (self._scratch / RESULTS_NAME).unlink(missing_ok=True)
            self._world.met["results file removed"] += 1
        before = snapshot(self._scratch)
        process = _Process(the, number, self._scratch, self._world, self.told, self._ahead)
        process.play()
        self._ahead = process.wall.ahead
        after = snapshot(self._scratch)
        check_run(process.sight, process.watch, self._world, self.told, before, after)
        check_results(self._scratch, after, died=process.ended_badly)
        return process.sight.summary


class _Process:
    """One process: it ends by itself, or dies in the moment that its round names."""

    def __init__(self, the: Round, number: int, scratch: Path, world: World, told: Told, ahead: float) -> None:
        self._round = the
        self._run_id = f"run-{number}"
        self._scratch = scratch
        self._world = world
        self._loop = VirtualLoop(self._at_turn, lambda: self.watch.rest())
        true = VirtualClock(self._loop, epoch=world.now + 5.0)
        world.clock = true
        self.wall = WallClock(true, ahead)
        self.watch = Watch(the.settings, world, scratch, told, snapshot(scratch), self._loop.time)
        self._disk = Disk(
            scratch,
            random.Random(world.rng.random()),
            world.met,
            dies_at=the.crash_write,
            full_from=the.disk_full,
            latency=the.disk_latency,
        )
        self._summary: Summary | None = None
        self._ended: float | None = None
        self._insisted: float | None = None
        self.ended_badly = False
        """It died, or its ledger's disk was full."""

    @property
    def sight(self) -> Sight:
        """What it looked like."""
        return Sight(self._round.settings, self._summary, self._ended, self._insisted)

    def play(self) -> None:
        """Run to whatever end."""
        world = self._world
        world.onlooker, world.bug_after = self.watch, self._round.bug_after
        try:
            with self._disk.installed():
                self._loop.run_until_complete(self._live())
        except Crash:
            self._die(power_cut=self._round.power_cut)
        except BaseException:
            self._die(power_cut=False)
            check_watch(self.watch)
            raise
        else:
            self._loop.close()
            self.ended_badly = self._disk.full
            require(not self._loop.lost, f"an exception was lost: {self._loop.lost}")
        finally:
            self.watch.close()

    def _die(self, *, power_cut: bool) -> None:
        self.ended_badly, self.watch.dead, self._summary, self._ended = True, True, None, None
        self._disk.die()
        self._loop.abandon()
        self._disk.bury(power_cut=power_cut)

    async def _live(self) -> None:
        """The run, and the only errors that it may end with."""
        the = self._round
        try:
            at = self.wall.time()
            async with await Ledger.open(
                self._scratch, run_id=self._run_id, at=at, committer=self._disk.committer
            ) as ledger:
                await self._batch(ledger)
        except LedgerError:
            if not self._disk.full:
                raise
        except UsageError:
            require(not self.watch.selects_something(), "a run refused its settings without a reason")
        except StoppedError:
            if the.signal is None and the.settings.max_runtime is None:
                raise
        except ExceptionGroup as group:
            if the.bug_after is None or group.subgroup(ZeroDivisionError) is None:
                raise

    async def _batch(self, ledger: Ledger) -> None:
        the, world, loop, watch = self._round, self._world, self._loop, self.watch
        world.forget_clients([record.job.job_id for record in await ledger.records(JobState.RUNNING, limit=1000)])
        rng = random.Random(world.rng.random())
        service, store = SimulatedService(world), SimulatedStore(world)
        batch = Batch(
            ledger,
            service,
            store,
            the.settings,
            clock=self.wall,
            listener=watch.hear,
            rng=rng,
            prices=SimulatedPrices(),
        )
        watch.batch = batch
        for at, seconds in the.jumps:
            loop.call_later(at, self._jump, seconds)
        if the.signal is not None:
            loop.call_later(the.signal, self._signal, batch)
        if the.second_signal is not None:
            loop.call_later(the.second_signal, self._insist, batch)
        self._count_settings()
        try:
            self._summary = await batch.run(the.rows)
            self._ended = loop.time()
        finally:
            if not watch.dead:
                _check_nothing_is_left(batch)
        for stop in self._summary.stops:
            world.met[f"stop: {stop.reason}"] += 1

    # -- from outside -------------------------------------------------------------------------------------------------

    def _at_turn(self, turn: int) -> None:
        the = self._round
        require(turn < _ENDLESS, f"a run goes on for ever: {turn} turns, {self._loop.time():,.0f} s")
        at_event = the.crash_event is not None and self.watch.events >= the.crash_event
        if turn == the.crash_turn or at_event:
            self._world.met["crash after an event" if at_event else "crash at an await"] += 1
            raise Crash

    def _signal(self, batch: Batch) -> None:
        if self._ended is None:
            self._world.met["signal"] += 1
            batch.go_home(Stop("signal", "SIGTERM received"))

    def _insist(self, batch: Batch) -> None:
        if self._ended is None:
            self._world.met["second signal"] += 1
            self._insisted = self._loop.time()
            batch.go_home(Stop("signal", "SIGTERM received again"), grace=0.0)

    def _jump(self, seconds: float) -> None:
        if self._ended is None:
            self._world.met["wall clock set forward" if seconds > 0 else "wall clock set back"] += 1
            self.wall.jump(seconds)

    def _count_settings(self) -> None:
        settings, met = self._round.settings, self._world.met
        met["runs"] += 1
        for name in ("limit", "select", "max_runtime", "budget", "max_jobs"):
            met[f"--{name}"] += getattr(settings, name) is not None
        for name in ("retry_failed", "resubmit_unknown"):
            met[f"--{name}"] += getattr(settings, name)
        met["slow ledger"] += self._round.disk_latency > 0


def _check_nothing_is_left(batch: Batch) -> None:
    """What must hold after each run that did not die, also where a bug or the disk ended it."""
    require(not batch.account.slots.in_use, f"{batch.account.slots.in_use} slots were not given back")
    strays = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    require(not strays, f"asyncio tasks are left behind: {strays}")


def _leaves(error: BaseException) -> str:
    """The errors in a group, flat."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(_leaves(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"


# -- the command ------------------------------------------------------------------------------------------------------


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder, in memory where the machine has such a place: the simulated disk is flushed a lot."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=memory if memory.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def simulate_all(seeds: range) -> Tale:
    """Run seeds one after the other; violations are collected, not raised."""
    tale = Tale()
    for seed in seeds:
        with scratch_folder() as scratch:
            try:
                tale.add(simulate(seed, scratch))
            except Violation as violation:
                tale.add(Tale(seeds=1, violations=[str(violation)]))
    gc.collect()  # the dead loops hold each other
    return tale


def main(argument: str) -> int:
    """Run one seed (`7`) or a range of them (`0:500`); prints every violation, and at the end what was met."""
    first, _, last = argument.partition(":")
    if not last:
        with scratch_folder() as scratch:
            _print_all(_ending(simulate(int(first), scratch), 0.0))
        return 0
    seeds, began = range(int(first), int(last)), time.monotonic()
    tale, cores = Tale(), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ProcessPoolExecutor(cores) as pool:
        chunks = [pool.submit(simulate_all, seeds[at : at + _CHUNK]) for at in range(0, len(seeds), _CHUNK)]
        for done in as_completed(chunks):
            part = done.result()
            before = tale.seeds // 1000
            tale.add(part)
            _print_all(part.violations)
            if tale.seeds // 1000 > before:
                elapsed = time.monotonic() - began
                _print_all([f"{tale.seeds:,} seeds, {len(tale.violations)} violations, {elapsed:,.0f} s"])
    _print_all(_ending(tale, time.monotonic() - began))
    return 1 if tale.violations else 0


def _ending(tale: Tale, elapsed: float) -> list[str]:
    lines = ["", "what was met:"]
    lines += [f"  {times:>9,}  {what}" for what, times in sorted(tale.met.items()) if times]
    jobs = ", ".join(f"{n:,} {state}" for state, n in sorted(tale.jobs.items()))
    return [*lines, "", f"jobs: {jobs}", f"{tale.seeds:,} seeds, {len(tale.violations)} violations, {elapsed:,.0f} s"]


def _print_all(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)  # noqa: T201 - a command of its own, run by hand


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
