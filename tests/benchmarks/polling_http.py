"""When to ask, over real HTTP: whole runs against the emulator, all policies at the same time on the same machine."""

import asyncio
import heapq
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pipeline
from pipeline.emulator import Emulator, Scenario
from pipeline.emulator.replies import Reply
from pipeline.emulator.service import RemoteTask
from tests.benchmarks.harness import Figure, at_least, at_most, publish
from tests.benchmarks.peers.intervals import PEERS, Intervals

SLOTS = 50
_SCENARIO = Scenario(seed=7, median_seconds=50.0, spread=0.3, parallel=1000, stamps="fractional", clips="tiny")
_METHOD = (
    f"The public `pipeline.run` against the emulator over HTTP on loopback, {SLOTS} slots, lognormal 50 s σ .3, cold "
    "at the start; the service's time runs as many times as fast as each row says. Each learned batch runs at the same "
    "time as its peer, in one process, each with an emulator and a ledger of its own, so that whatever disturbs one "
    "disturbs both; three such pairs run at a time, in processes of their own. Questions, lag and makespan come from "
    "the emulator's own log, in the service's seconds; `poll_lag` of the learned runs is such that each asks no more "
    "than its peer. The oracle is the shortest time in which the "
    "slots could have done the very same tasks in the very same order."
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How one batch asks."""

    name: str
    lag: float | None = None
    """Mean lag wanted of the learned schedule, in the service's seconds; None: as the peer asks."""
    delays: Callable[[int], float] | None = None


@dataclass(frozen=True, slots=True)
class Duel:
    """A peer and the learned schedule, with no more questions, side by side."""

    peer: str
    lag: float
    """Mean lag wanted of the learned schedule, in the service's seconds."""
    speed: float
    """The service's seconds in one of ours."""
    jobs: int = 600

    @property
    def policies(self) -> tuple[Policy, Policy]:
        return Policy(self.peer, delays=PEERS[self.peer]), Policy(f"learned beside {self.peer}", lag=self.lag)


STEP = "step 1→5 s"
DUELS = (
    Duel("fixed 0.5 s", lag=0.16, speed=2.0),
    Duel("fixed 1 s", lag=0.32, speed=2.0),
    Duel("fixed 2 s", lag=0.65, speed=4.0),
    Duel("fixed 5 s", lag=1.55, speed=4.0),
    Duel("fixed 10 s", lag=3.1, speed=8.0),
    Duel("geometric 1→10 s", lag=1.75, speed=8.0),
    Duel(STEP, lag=1.0, speed=4.0, jobs=2000),
)
"""A short interval needs a slow service: ours are never less than a tenth of a real second apart."""


_AT_A_TIME = 3


@dataclass(slots=True)
class Log:
    """What one emulator saw: its tasks, and when a status answer first told of each one's end."""

    told: dict[str, float] = field(default_factory=dict)
    tasks: list[RemoteTask] = field(default_factory=list)
    questions: int = 0

    def listen(self, emulator: Emulator) -> None:
        """Have every report of an end noted on its way out."""
        service = emulator._service
        report = service._report

        def noting(now: float, task: RemoteTask, word: str, *, ended: bool, no_urls: bool = False) -> Reply:
            if ended and task.task_id not in self.told:
                self.told[task.task_id] = now
                self.tasks.append(task)
            return report(now, task, word, ended=ended, no_urls=no_urls)

        service._report = noting  # type: ignore[method-assign] # the emulator counts questions, but not their moments


@dataclass(frozen=True, slots=True)
class Seen:
    """One batch, in the service's seconds."""

    lag: float
    p95: float
    questions: float
    efficiency: float

    def __str__(self) -> str:
        return f"{self.lag:.2f} / {self.p95:.2f} s, {self.questions:.1f} questions, {self.efficiency:.4f}"


def seen(log: Log, speed: float) -> Seen:
    """What the log of a whole batch comes to."""
    lags = [(log.told[task.task_id] - _end(task)) * speed for task in log.tasks]
    tasks = sorted(log.tasks, key=lambda task: task.number)
    took = max(log.told.values()) - tasks[0].submitted
    best = shortest([_end(task) - task.submitted for task in tasks])
    p95 = statistics.quantiles(lags, n=20, method="inclusive")[-1]
    return Seen(statistics.fmean(lags), p95, log.questions / len(tasks), best / took)


def shortest(durations: Sequence[float]) -> float:
    """Seconds in which the slots do the tasks in their order, where each is refilled in the moment of an end."""
    free = [0.0] * SLOTS
    for duration in durations:
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)


def _end(task: RemoteTask) -> float:
    if task.finished is None:
        raise ValueError(f"task {task.task_id} never ends")
    return task.finished


async def batch(policy: Policy, duel: Duel, folder: Path) -> Seen:
    """Run one batch to its end."""
    log, speed = Log(), duel.speed
    async with Emulator(_SCENARIO, speed=speed, folder=folder / "emulator") as emulator:
        log.listen(emulator)
        settings: dict[str, Any] = {"endpoint": emulator.base_url, "concurrency": SLOTS, "pollers": SLOTS}
        if policy.lag is not None:
            settings["poll_lag"] = policy.lag / speed
        async with pipeline.run(_manifest(folder, duel.jobs), folder / "out", api_key="benchmark", **settings) as run:
            if policy.delays is not None:
                pollers = run._batch._crew._pollers  # type: ignore[union-attr] # no user chooses a worse schedule
                pollers._schedule = Intervals(policy.delays, speed)
            done = [result.status async for result in run]
        log.questions = emulator.statistics().questions
    if done != ["succeeded"] * duel.jobs:
        raise RuntimeError(f"{policy.name}: {done.count('succeeded')} of {duel.jobs} jobs succeeded")
    return seen(log, speed)


def _manifest(folder: Path, jobs: int) -> Path:
    path = folder / "jobs.jsonl"
    rows = ({"id": f"j{number}", "input": {"image_url": f"https://example.com/{number}.png"}} for number in range(jobs))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


async def fight(duel: Duel, folder: Path) -> tuple[Seen, Seen]:
    """The peer's batch and ours, at the same time."""
    async with asyncio.TaskGroup() as group:
        running = []
        for number, policy in enumerate(duel.policies):
            place = folder / str(number)
            place.mkdir()
            running.append(group.create_task(batch(policy, duel, place)))
    theirs, ours = (task.result() for task in running)
    return theirs, ours


def compared(duel: Duel, theirs: Seen, ours: Seen) -> list[Figure]:
    """What the learned schedule makes of no more questions."""
    lost = (1.0 - ours.efficiency) / (1.0 - theirs.efficiency)
    conditions = f"{duel.jobs:,} jobs, {duel.speed:g} times as fast"
    claim = "mean / p95 lag, questions a task, efficiency"
    return [
        Figure(f"{duel.peer}: {claim}", str(theirs), "", None, conditions),
        Figure(f"learned beside {duel.peer}: {claim}", str(ours), "", None, conditions),
        at_most(f"questions a task beside {duel.peer}", [ours.questions / theirs.questions], 1.0, peer=duel.peer),
        at_most("…mean lag", [ours.lag / theirs.lag], 1.0, peer=duel.peer),
        at_most("…p95 lag", [ours.p95 / theirs.p95], 1.0, peer=duel.peer),
        at_most("…lost makespan", [lost], 1.0, peer=duel.peer),
    ]


def fought(duel: Duel) -> tuple[Seen, Seen]:
    """The same, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(fight(duel, Path(folder)))


def main() -> None:
    os.environ["NO_PROXY"] = "*"
    with ProcessPoolExecutor(_AT_A_TIME) as pool:
        fights = {duel: pool.submit(fought, duel) for duel in sorted(DUELS, key=lambda duel: -duel.jobs / duel.speed)}
    figures = []
    for duel in DUELS:
        theirs, ours = fights[duel].result()
        figures += compared(duel, theirs, ours)
        if duel.peer == STEP:
            figures += [
                at_least(
                    f"makespan efficiency, learned, {duel.jobs:,} jobs",
                    [ours.efficiency],
                    0.98,
                    peer="an oracle",
                    unit="",
                ),
                at_most("…with so many questions a task", [ours.questions], 16.0, peer="", unit=""),
            ]
    publish("polling_http", "When to ask, over HTTP", _METHOD, figures)


if __name__ == "__main__":
    main()
