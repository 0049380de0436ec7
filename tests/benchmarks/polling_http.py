"""When to ask, over real HTTP: whole runs against the emulator, all policies at the same time on the same machine."""

import asyncio
import heapq
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pipeline
from pipeline.emulator import Emulator, Scenario
from pipeline.emulator.replies import Reply
from pipeline.emulator.service import RemoteTask
from tests.benchmarks.harness import Figure, at_least, at_most, publish
from tests.benchmarks.peers.intervals import Intervals, fixed, step

JOBS = 600
SLOTS = 50
SPEED = 8.0
"""The service's seconds in one of ours: its tasks of 50 s take a little over six."""
_SCENARIO = Scenario(seed=7, median_seconds=50.0, spread=0.3, parallel=1000, stamps="fractional", clips="tiny")
_METHOD = (
    f"The public `pipeline.run` against the emulator over HTTP on loopback, {JOBS} jobs on {SLOTS} slots, "
    f"lognormal 50 s σ .3, the service's time {SPEED:g} times as fast; cold at the start. Each learned "
    "batch runs at the same time as its peer, in one process, each with an emulator and a ledger of its own, so that "
    "whatever disturbs one disturbs both. Questions, lag and makespan come from the emulator's own log, in the "
    "service's seconds; `poll_lag` of the learned runs is such that each asks no more than its peer. The oracle is "
    "the shortest time in which the slots could have done the very same tasks in the very same order."
)


_SHORT = (
    f"The tail and the cold first wave weigh {2000 / JOBS:.1f} times as much as among 2000 jobs, and each "
    f"answer of this machine takes {SPEED:g} times as long in the service's seconds, for the peers too."
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How one batch asks."""

    name: str
    lag: float | None = None
    """Mean lag wanted of the learned schedule, in the service's seconds; None: as the peer asks."""
    delays: Callable[[int], float] | None = None


DUELS = (
    (Policy("step 1→5 s", delays=step), Policy("learned beside the step", lag=1.05)),
    (Policy("fixed 5 s", delays=fixed(5.0)), Policy("learned beside fixed 5 s", lag=1.5)),
)


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


def seen(log: Log) -> Seen:
    """What the log of a whole batch comes to."""
    lags = [(log.told[task.task_id] - _end(task)) * SPEED for task in log.tasks]
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


async def batch(policy: Policy, folder: Path) -> Seen:
    """Run one batch to its end."""
    log = Log()
    async with Emulator(_SCENARIO, speed=SPEED, folder=folder / "emulator") as emulator:
        log.listen(emulator)
        settings: dict[str, Any] = {"endpoint": emulator.base_url, "concurrency": SLOTS, "pollers": SLOTS}
        if policy.lag is not None:
            settings["poll_lag"] = policy.lag / SPEED
        async with pipeline.run(_manifest(folder), folder / "out", api_key="benchmark", **settings) as run:
            if policy.delays is not None:
                pollers = run._batch._crew._pollers  # type: ignore[union-attr] # no user chooses a worse schedule
                pollers._schedule = Intervals(policy.delays, SPEED)
            done = [result.status async for result in run]
        log.questions = emulator.statistics().questions
    if done != ["succeeded"] * JOBS:
        raise RuntimeError(f"{policy.name}: {done.count('succeeded')} of {JOBS} jobs succeeded")
    return seen(log)


def _manifest(folder: Path) -> Path:
    path = folder / "jobs.jsonl"
    rows = ({"id": f"j{number}", "input": {"image_url": f"https://example.com/{number}.png"}} for number in range(JOBS))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


async def fight(policies: Sequence[Policy], folder: Path) -> list[Seen]:
    """All these policies at the same time."""
    async with asyncio.TaskGroup() as group:
        running = []
        for policy in policies:
            place = folder / policy.name.replace(" ", "-")
            place.mkdir()
            running.append(group.create_task(batch(policy, place)))
    return [task.result() for task in running]


def compared(peer: str, theirs: Seen, ours: Seen) -> list[Figure]:
    """What the learned schedule makes of no more questions."""
    lost = (1.0 - ours.efficiency) / (1.0 - theirs.efficiency)
    return [
        at_most(f"questions a task beside {peer}", [ours.questions / theirs.questions], 1.0, peer=peer),
        at_most("…mean lag", [ours.lag / theirs.lag], 1.0, peer=peer),
        at_most("…p95 lag", [ours.p95 / theirs.p95], 1.0, peer=peer),
        at_most("…lost makespan", [lost], 1.0, peer=peer),
    ]


def main() -> None:
    os.environ["NO_PROXY"] = "*"
    with tempfile.TemporaryDirectory() as folder:
        found = [asyncio.run(fight(policies, Path(folder))) for policies in DUELS]
    figures = [
        Figure(f"{policy.name}: mean / p95 lag, questions a task, efficiency", str(one), "", None, "an oracle")
        for policies, results in zip(DUELS, found, strict=True)
        for policy, one in zip(policies, results, strict=True)
    ]
    for (peer, _), results in zip(DUELS, found, strict=True):
        figures += compared(peer.name, *results)
    best = found[0][1].efficiency
    figures.append(at_least("makespan efficiency, learned", [best], 0.98, peer="an oracle", unit="", remark=_SHORT))
    publish("polling_http", "When to ask, over HTTP", _METHOD, figures)


if __name__ == "__main__":
    main()
