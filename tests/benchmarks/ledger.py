"""The ledger's group commit beside a commit for each operation and a bare journal; also where a flush costs 2 ms."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.harness import Figure, at_least, at_most, interleaved, measured, noted, publish, ratios

PROGRAM = (sys.executable, "-m", "tests.benchmarks.peers.durable_writers")
JOBS = {"ledger": 4, "journal": 4, "per-operation": 1}
"""That each of the thousand writers leads: a commit for each operation takes long enough with one."""
IDS = {"ledger": 16, "per-operation": 4}
"""Task ids that each of them writes."""
ROUNDS, SLOW_ROUNDS = 9, 5
FLUSHES, PATIENCE = 3, 30
"""A step may take so many flushes and so many milliseconds in 99 of 100 cases."""
SLOWER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static void wait_for_the_disk(void) {
    struct timespec two_ms = {0, 2000000};
    nanosleep(&two_ms, 0);
}

int fsync(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_for_the_disk();
    return real(file);
}

int fdatasync(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_for_the_disk();
    return real(file);
}
"""
"""Every flush of a program that is started with it takes 2 ms longer, as on a disk without a cache."""
_WORK = (
    "A real step is one or two statements and, at a job's end, its results line as well: that work, which both sides "
    "do, bounds what saving the flushes can gain. In groups of a thousand, with the folder in memory, a step takes "
    "12 µs: 3 on the event loop (its writer, a future, handing it over), 7 in its statements and what makes them "
    "(intent 5, task id 4, end of the task 6, end of the download with its results line 10), 2 in the log, which takes "
    "a whole page for each row that has no neighbour in the group, and the results file."
)
_GROUP = (
    "A group holds what a thousand writers ask for meanwhile; it takes as long as their statements do, and the flush "
    "has little part in it."
)
METHOD = (
    "A thousand writers lead jobs from the queue to their end; each waits until its step (intent, task id, end of the "
    "task, end of the download) is on the disk before it takes the next one, and they begin at different steps. They "
    "take their jobs in the order of enrolment, so that rows that are led at the same time are neighbours, and the "
    "pages of the queue were read before, as in a run. The peer makes the same statements in a transaction for each "
    "step, on one thread; the floor appends a JSON line for each step and flushes whatever has gathered. Task ids "
    "alone are steps of one statement: every intent is there before the clock runs. A flush that costs 2 ms more is "
    "made by a preloaded library."
)


class Writers:
    """Runs the program in each of its ways, and keeps what it says beside its rate."""

    def __init__(self, environ: Mapping[str, str] | None = None, *, ids_only: bool = False) -> None:
        self._environ = environ
        self._jobs = IDS if ids_only else JOBS
        self._options = ["--ids-only"] if ids_only else []
        self.p99: list[float] = []
        self.flush: list[float] = []

    def rate(self, way: str) -> float:
        """Durable steps per second in a fresh folder."""
        with tempfile.TemporaryDirectory() as folder:
            command = [*PROGRAM, way, folder, "--jobs", str(self._jobs[way]), *self._options]
            cost = measured(command, environ=self._environ)
        said = json.loads(cost.output)
        if way == "ledger":
            self.p99.append(said["p99"])
            self.flush.append(said["flush"])
        return float(said["rate"])

    def rates(self, rounds: int) -> dict[str, list[float]]:
        """Of every way, by round."""
        return interleaved({way: lambda way=way: self.rate(way) for way in self._jobs}, rounds)  # type: ignore[misc]  # mypy infers no lambda with a default


def slowed_environ(folder: Path) -> dict[str, str] | None:
    """The environment of a program whose flushes are slow; None where no compiler makes the library."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    source, library = folder / "slower.c", folder / "slower.so"
    source.write_text(SLOWER)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}


def figures_of(writers: Writers, rounds: int, goal: float, where: str) -> list[Figure]:
    """Rate and latency on one kind of disk."""
    rates = writers.rates(rounds)
    flush = statistics.median(writers.flush)
    patience = round(FLUSHES * flush + PATIENCE, 1)
    return [
        at_least(
            f"durable steps per second, {where}",
            ratios(rates["ledger"], rates["per-operation"]),
            goal,
            peer="a commit for each operation",
            remark=_WORK,
        ),
        noted(f"durable steps, {where}", rates["ledger"], unit="/s", peer="alone"),
        noted(
            f"share of the journal's rate, {where}",
            ratios(rates["ledger"], rates["journal"]),
            peer="JSON lines, appended and flushed",
        ),
        at_most(
            f"99th percentile of an awaited step, {where}",
            writers.p99,
            patience,
            unit="ms",
            peer=f"{FLUSHES} flushes of {flush:.2g} ms and {PATIENCE} ms",
            remark=_GROUP,
        ),
    ]


def figures_of_ids(writers: Writers, rounds: int, goal: float, where: str) -> list[Figure]:
    """The same where each step is one statement: what saving the flushes gains, with little work beside it."""
    rates = writers.rates(rounds)
    flush = statistics.median(writers.flush)
    return [
        at_least(
            f"durable task ids per second, {where}",
            ratios(rates["ledger"], rates["per-operation"]),
            goal,
            peer="a commit for each operation",
        ),
        at_most(
            f"99th percentile of an awaited task id, {where}",
            writers.p99,
            round(FLUSHES * flush + PATIENCE, 1),
            unit="ms",
            peer=f"{FLUSHES} flushes of {flush:.2g} ms and {PATIENCE} ms",
        ),
    ]


def main() -> None:
    figures = [
        *figures_of(Writers(), ROUNDS, 15, "this disk"),
        *figures_of_ids(Writers(ids_only=True), ROUNDS, 15, "this disk"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        environ = slowed_environ(Path(folder))
        if environ is not None:
            figures += figures_of(Writers(environ), SLOW_ROUNDS, 150, "flushes 2 ms slower")
            figures += figures_of_ids(Writers(environ, ids_only=True), SLOW_ROUNDS, 150, "flushes 2 ms slower")
    publish("ledger", "Ledger: group commit", METHOD, figures)


if __name__ == "__main__":
    main()
