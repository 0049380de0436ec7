"""The order of the jobs: a batch of two classes, longest first, beside the same batch in file order."""

import asyncio
import json
import os
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pipeline
from pipeline.core.jobs import Job
from pipeline.emulator import Emulator, Scenario
from pipeline.emulator.scenario import Trouble
from tests.benchmarks.harness import Figure, at_most, noted, publish
from tests.engine.fakes import Theatre
from tests.engine.machines import Machines
from tests.engine.world import make_job

SLOTS = 50
SHORT, LONG = 40.0, 120.0
"""Seconds that tasks of the two classes take."""
SIZES = {100: 5, 200: 5, 500: 3, 2000: 1}
"""Jobs of a batch, and how many shufflings of it are run on virtual time."""
SPEED = 40.0
ROUNDS = 3
_SCENARIO = Scenario(
    median_seconds=SHORT,
    spread=0.0,
    parallel=1000,
    stamps="fractional",
    clips="tiny",
    trouble=(Trouble(at="task", do="long", seconds=LONG, prompt="slowly"),),
)
_METHOD = (
    f"Two classes of jobs, half of them {SHORT:g} s and half {LONG:g} s long, shuffled in the file, on {SLOTS} slots; "
    "the time of the batch beside that of the same batch with `order: manifest`. First the whole engine on virtual "
    "time, a fresh ledger each, where nothing is known of the durations but what the parameters let one guess; several "
    f"shufflings of each size. Then the public `pipeline.run` over HTTP against the emulator, {SPEED:g} times as fast, "
    "both orders one after the other, turned around every other round. `auto` orders fewer than ten jobs a slot; the "
    "largest batch is run with `longest-first`."
)


# -- on virtual time ------------------------------------------------------------------------------------------------


def shuffled(count: int, seed: int) -> list[Job]:
    """Jobs whose classes differ in the length of the video."""
    lengths = [5, 15] * (count // 2)
    random.Random(seed).shuffle(lengths)
    return [
        replace(make_job(f"j{number}"), digest=f"{number}", parameters={"duration": length})
        for number, length in enumerate(lengths)
    ]


def virtual_seconds(jobs: list[Job], order: str) -> float:
    """How long the batch takes from a fresh ledger."""
    service = Machines(seconds=lambda job: LONG if job.parameters["duration"] == 15 else SHORT)
    with tempfile.TemporaryDirectory() as folder:
        played = Theatre(Path(folder)).run(
            jobs, service, concurrency=SLOTS, order=order, pollers=SLOTS, downloads=SLOTS, poll_lag=1.0
        )
    if played.counts != {"done": len(jobs)}:
        raise RuntimeError(f"{order}: {played.counts}")
    return played.took


def gains(count: int, seeds: int) -> list[float]:
    """The time longest first ÷ the time in file order, for each shuffling."""
    order = "auto" if count < 10 * SLOTS else "longest-first"
    batches = [shuffled(count, seed) for seed in range(seeds)]
    return [virtual_seconds(jobs, order) / virtual_seconds(jobs, "manifest") for jobs in batches]


# -- over HTTP ------------------------------------------------------------------------------------------------------


def write_manifest(folder: Path, seed: int) -> Path:
    """200 rows whose classes differ in their resolution; the prompt tells the emulator how long they take."""
    classes = [("480P", "quickly"), ("720P", "slowly")] * 100
    random.Random(seed).shuffle(classes)
    path = folder / f"jobs-{seed}.jsonl"
    rows = (
        {
            "id": f"j{number}",
            "input": {"image_url": f"https://example.com/{number}.png", "prompt": f"the boat moves {how}"},
            "parameters": {"resolution": resolution},
        }
        for number, (resolution, how) in enumerate(classes)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


async def real_seconds(manifest: Path, folder: Path, order: str) -> float:
    """How long the batch takes over HTTP, from the first submit to the last video."""
    async with Emulator(_SCENARIO, speed=SPEED) as emulator:
        begun = time.perf_counter()
        async with pipeline.run(
            manifest,
            folder,
            api_key="benchmark",
            endpoint=emulator.base_url,
            concurrency=SLOTS,
            pollers=SLOTS,
            order=order,
            poll_lag=2.0 / SPEED,
        ) as run:
            done = [result.status async for result in run]
        took = time.perf_counter() - begun
    if done != ["succeeded"] * 200:
        raise RuntimeError(f"{order}: {done.count('succeeded')} of 200 jobs succeeded")
    return took


def gains_over_http() -> list[float]:
    """As `gains`, for 200 jobs."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(ROUNDS):
            manifest, took = write_manifest(Path(scratch), number), {}
            for order in ("auto", "manifest") if number % 2 == 0 else ("manifest", "auto"):
                took[order] = asyncio.run(real_seconds(manifest, Path(scratch) / f"{order}-{number}", order))
            found.append(took["auto"] / took["manifest"])
    return found


def main() -> None:
    os.environ["NO_PROXY"] = "*"
    figures: list[Figure] = []
    for count, seeds in SIZES.items():
        claim, peer = f"time of {count:,} jobs, longest first ÷ file order, virtual time", "`order: manifest`"
        samples = gains(count, seeds)
        figures.append(at_most(claim, samples, 0.88, peer=peer) if count == 200 else noted(claim, samples, peer=peer))
    figures.append(
        at_most("time of 200 jobs, auto ÷ file order, over HTTP", gains_over_http(), 0.88, peer="`order: manifest`")
    )
    publish("order", "The order of the jobs", _METHOD, figures)


if __name__ == "__main__":
    main()
