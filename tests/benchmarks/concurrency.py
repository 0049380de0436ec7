"""How many tasks at once: `concurrency: auto` beside a number that was told, over real HTTP."""

import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pipeline
from pipeline.core.events import Event, SlotsChanged
from pipeline.emulator import Emulator, Scenario
from tests.benchmarks.harness import Figure, at_most, noted, publish

LIMIT = 37
MACHINES = 20
JOBS = 1500
QUEUE_JOBS = 600
SPEED = 50.0
"""The service's seconds in one of ours: its tasks of 50 s take one."""
_CALM = {"median_seconds": 50.0, "spread": 0.2, "stamps": "fractional", "clips": "tiny"}
_LIMITED = Scenario(max_tasks=LIMIT, parallel=1000, **_CALM)  # type: ignore[arg-type]  # settings by name
_QUEUEING = Scenario(parallel=MACHINES, **_CALM)  # type: ignore[arg-type]  # settings by name
_METHOD = (
    f"The public `pipeline.run` over HTTP against the emulator, lognormal 50 s σ .2, {SPEED:g} times as fast as life: "
    f"{JOBS} jobs at an account that refuses the {LIMIT + 1}th unfinished task with 429 and no `Retry-After`, then "
    f"{QUEUE_JOBS} jobs at one that accepts everything and runs {MACHINES} at once. Each run that searches and "
    "one that was told go on at the same time, in one process, at emulators of their own, which count the submits. "
    "*Settled* is the number of slots over the second half of a run, by time."
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One run."""

    seconds: float
    refused: float
    """Share of the submits."""
    settled: float
    """Mean number of slots in the second half."""
    lowest: int
    highest: int
    peak: int
    """Most slots in the whole run."""


class Slots:
    """Listens for the number of slots."""

    def __init__(self, first: int) -> None:
        self._changes: list[tuple[float, int]] = [(time.perf_counter(), first)]

    def hear(self, event: Event) -> None:
        if isinstance(event, SlotsChanged):
            self._changes.append((time.perf_counter(), event.limit))

    def seen(self, seconds: float, refused: float) -> Seen:
        """The run as it looks at its end."""
        end = time.perf_counter()
        half = end - seconds / 2
        stretches = zip(self._changes, [*self._changes[1:], (end, 0)], strict=True)
        later = [(max(0.0, until - max(at, half)), slots) for (at, slots), (until, _) in stretches if until > half]
        settled = sum(length * slots for length, slots in later) / sum(length for length, _ in later)
        numbers = [slots for _, slots in later]
        peak = max(slots for _, slots in self._changes)
        return Seen(seconds, refused, settled, min(numbers), max(numbers), peak)


async def ours(emulator: Emulator, folder: Path, name: str, jobs: int, concurrency: int | Literal["auto"]) -> Seen:
    """One run into a folder that may have been used before."""
    folder.mkdir(exist_ok=True)
    manifest = folder / f"{name}.jsonl"
    rows = ({"id": f"{name}-{n}", "input": {"image_url": f"https://example.com/{n}.png"}} for n in range(jobs))
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    before, begun = emulator.statistics(), time.perf_counter()
    slots = Slots(concurrency if concurrency != "auto" else 0)
    async with pipeline.run(
        manifest,
        folder / "out",
        api_key="benchmark",
        listener=slots.hear,
        endpoint=emulator.base_url,
        concurrency=concurrency,
        pollers=20,
        downloads=10,
        poll_lag=1.0 / SPEED,
    ) as run:
        done = [result.status async for result in run]
    seconds, after = time.perf_counter() - begun, emulator.statistics()
    if done != ["succeeded"] * jobs:
        raise RuntimeError(f"{name}: {done.count('succeeded')} of {jobs} jobs succeeded")
    submits = after.submits - before.submits
    return slots.seen(seconds, 1.0 - (after.tasks - before.tasks) / submits)


async def fixed_hundred(emulator: Emulator) -> float:
    """The share of refused submits of the script that always tries a hundred."""
    before = emulator.statistics()
    arguments = ("-m", "tests.benchmarks.peers.fixed_hundred", emulator.base_url, str(JOBS), str(SPEED))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    if await process.wait():
        raise RuntimeError("the script has failed")
    after = emulator.statistics()
    return 1.0 - (after.tasks - before.tasks) / (after.submits - before.submits)


async def at_a_limit(scratch: Path) -> list[Figure]:
    """Two at a time, each at an emulator of its own."""
    async with Emulator(_LIMITED, speed=SPEED) as one, Emulator(_LIMITED, speed=SPEED) as other:
        found, told = await asyncio.gather(
            ours(one, scratch / "auto", "found", JOBS, "auto"), ours(other, scratch / "told", "told", JOBS, LIMIT)
        )
        again, told_again = await asyncio.gather(
            ours(one, scratch / "auto", "again", JOBS, "auto"), ours(other, scratch / "told", "again", JOBS, LIMIT)
        )
        script, hundred = await asyncio.gather(
            fixed_hundred(one), ours(other, scratch / "hundred", "hundred", JOBS, 100)
        )
    off, submits = 100 * abs(found.settled / LIMIT - 1.0), "all submits of the run"
    reach = f"{found.settled:.1f} slots on average, {found.lowest} to {found.highest}."
    told_run = f"a run with `concurrency: {LIMIT}`"
    return [
        at_most(
            f"settled, off the limit of {LIMIT}", [off], 10, peer="the emulator's own rule", unit="%", remark=reach
        ),
        at_most("refused submits, auto", [100 * found.refused], 2, peer=submits, unit="%"),
        noted("…in the next run, which remembers", [100 * again.refused], peer=submits, unit="%"),
        noted("…our own `concurrency: 100`, which slows down", [100 * hundred.refused], peer=submits, unit="%"),
        noted("…a script with a fixed 100 that tries again", [100 * script], peer=submits, unit="%"),
        noted(f"time of {JOBS} jobs, auto", [found.seconds / told.seconds], peer=told_run),
        noted("…in the next run, which remembers", [again.seconds / told_again.seconds], peer=told_run),
    ]


async def at_a_queue(scratch: Path) -> list[Figure]:
    """Both runs at a time, each at an emulator of its own."""
    async with Emulator(_QUEUEING, speed=SPEED) as one, Emulator(_QUEUEING, speed=SPEED) as other:
        searching = ours(one, scratch / "queue-auto", "queue-found", QUEUE_JOBS, "auto")
        telling = ours(other, scratch / "queue-told", "queue-told", QUEUE_JOBS, MACHINES)
        found, told = await asyncio.gather(searching, telling)
    machines, told_run = f"the service's {MACHINES} machines", f"a run with `concurrency: {MACHINES}`"
    return [
        noted("settled where more tasks only wait", [found.settled / MACHINES], peer=machines),
        noted("…most slots on the way", [found.peak / MACHINES], peer=machines),
        noted(f"…time of {QUEUE_JOBS} jobs", [found.seconds / told.seconds], peer=told_run),
    ]


def main() -> None:
    os.environ["NO_PROXY"] = "*"
    figures: list[Figure] = []
    for part in (at_a_limit, at_a_queue):
        with tempfile.TemporaryDirectory() as scratch:
            figures += asyncio.run(part(Path(scratch)))
    publish("concurrency", "How many tasks at once", _METHOD, figures)


if __name__ == "__main__":
    main()
