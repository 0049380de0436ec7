"""A batch of a million jobs in the ledger: enrolling, asking how it stands, opening it again, running it again.

`--quick` takes a hundred thousand, prints the table and keeps nothing.
"""

import asyncio
import csv
import json
import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TypeVar

from pipeline.core.jobs import Job
from pipeline.ledger import Ledger, Reading, enrolment
from pipeline.ledger.schema import open_for_writing, transaction
from pipeline.manifest import open_manifest
from tests.benchmarks.harness import Figure, at_most, interleaved, measured, noted, publish, ratios
from tests.benchmarks.peers.durable_writers import REPORT, make_job
from tests.benchmarks.raw_service import RawService, raw_service

MANY, FEW = 1_000_000, 100_000
SAMPLES = 5
SMALL = 10_000
"""Rows beside which the memory of many is looked at."""
BOUGHT, MORE_BOUGHT = 500, 5_000
"""Jobs that a run buys of them."""
PAGE = 500
METHOD = (
    "A CSV of a million rows is enrolled through the ledger's own door and ended by SQL. Commands are whole processes; "
    "the time of a bare interpreter is taken off where it is said. The batch is run again by the real command against "
    "a server that counts requests; then one job of a hundred is opened again, half of them queued, half running. "
    "Memory is the peak of whole commands, against a raw server on loopback."
)

T = TypeVar("T")


# -- parts that run in a process of their own -----------------------------------------------------------------------


def enroll(folder: Path, rows: int) -> dict[str, float]:
    """Enroll made-up jobs, then the same ones again; the seconds of making them are taken off."""
    making = _seconds_of(lambda: sum(1 for _ in _jobs(rows)))
    with closing(open_for_writing(folder)) as connection:

        def work() -> None:
            with transaction(connection):
                enrolment.enroll(connection, _jobs(rows), "error", 1.0)

        taken = [_seconds_of(work) - making for _ in range(2)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"new": taken[0], "known": taken[1], "rss": peak}


def insert(folder: Path, rows: int) -> dict[str, float]:
    """The floor: the same values by `executemany` into a table with the same indexes."""
    making = _seconds_of(lambda: sum(1 for _ in _values(rows)))
    with closing(open_for_writing(folder)) as connection:

        def work() -> None:
            with transaction(connection):
                connection.executemany(_INSERT, _values(rows))

        return {"new": _seconds_of(work) - making}


def _values(rows: int) -> Iterator[tuple[str, str, str, str, str]]:
    for n in range(rows):
        yield f"job-{n:07}", f"{n:064x}", f"job-{n:07}.mp4", _SPEC % (n, n), "Wan-AI/Wan2.2-I2V"


def _seconds_of(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


_INSERT = """
    INSERT INTO jobs (job_id, digest, output, spec, kind, state, moved_at) VALUES (?, ?, ?, ?, ?, 'queued', 1)
"""
_SPEC = (
    '{"model":"Wan-AI/Wan2.2-I2V","input":{"image_url":"https://example.com/%d.jpg","prompt":"the surfer waves at the '
    'camera"},"parameters":{"resolution":"480P"},"metadata":{},"source":{"file":"shots.csv","line":%d},"files":[]}'
)


def reopen(folder: Path, _rows: int) -> dict[str, float]:
    """Open, count, read every unfinished job and the first page of queued ones, as a run does before its crew."""

    async def look() -> float:
        begun = time.perf_counter()
        ledger = await Ledger.open(folder, run_id="benchmark", at=1.0, counts_as_run=False)
        await ledger.counts()
        cursor = 0
        while page := await ledger.unfinished(after=cursor, limit=PAGE):
            cursor = page[-1][0]
        await ledger.queued(limit=PAGE)
        taken = time.perf_counter() - begun
        await ledger.close()
        return taken

    return {"seconds": asyncio.run(look())}


def scan(folder: Path, _rows: int) -> dict[str, float]:
    """The peer of `reopen`: the same jobs found by reading the whole table."""
    question = "SELECT * FROM jobs WHERE +state IN ('queued', 'running', 'fetching')"
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as connection:
        return {"seconds": _seconds_of(lambda: sum(1 for _ in connection.execute(question)))}


PARTS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "enroll": enroll,
    "insert": insert,
    "reopen": reopen,
    "scan": scan,
}


def _jobs(rows: int) -> Iterator[Job]:
    return map(make_job, range(rows))


def in_process(part: str, folder: Path, rows: int) -> dict[str, float]:
    """What a part says that ran alone."""
    cost = measured([sys.executable, "-m", "tests.benchmarks.batches", part, str(folder), str(rows)])
    return dict(json.loads(cost.output))


# -- the batch ------------------------------------------------------------------------------------------------------


def write_manifest(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image_url", "prompt", "resolution"])
        for n in range(rows):
            picture = f"https://example.com/{n}.jpg"
            writer.writerow([f"job-{n:07}", picture, "the surfer waves at the camera", ("480P", "720P")[n % 2]])


async def enroll_manifest(path: Path, folder: Path) -> float:
    """Enroll the whole manifest as a run would; seconds, its reading included."""
    with open_manifest(path) as manifest:
        begun = time.perf_counter()
        async with await Ledger.open(folder, run_id="benchmark", at=1.0) as ledger:
            await ledger.enroll(manifest.jobs(), "error", 1.0, Reading(manifest.identity()))
        return time.perf_counter() - begun


_END = """
    UPDATE jobs SET state = 'done', attempt = 1, task_id = 'task-of-' || job_id || '-0123456789abcdef',
        base_url = 'https://api.example.com', submitted_at = 1, moved_at = 2, report = :report,
        files = '[{"path":"videos/' || output || '","bytes":2482113,"sha256":"' || digest || '","url":""}]'
"""
_LINES = """
    INSERT INTO results (job_id, attempt, line)
    SELECT job_id, 1, '{"schema":1,"job_id":"' || job_id || '","status":"succeeded","files":' || files || '}' FROM jobs
"""
_OPEN_AGAIN = """
    UPDATE jobs SET state = CASE WHEN seq % 200 = 0 THEN 'queued' ELSE 'running' END WHERE seq % 100 = 0
"""


async def end_all(folder: Path) -> None:
    """Every job is done, with its line in the results file."""
    with closing(open_for_writing(folder)) as connection, transaction(connection):
        connection.execute(_END, {"report": json.dumps({"state": "succeeded", "word": "Success", "urls": REPORT.urls})})
        connection.execute(_LINES)
    async with await Ledger.open(folder, run_id="benchmark", at=1.0):
        pass


def open_some(folder: Path) -> None:
    """One job of a hundred is open again."""
    with closing(open_for_writing(folder)) as connection, transaction(connection):
        connection.execute(_OPEN_AGAIN)


class Counting(BaseHTTPRequestHandler):
    """A service that is never asked for anything."""

    requests = 0

    def handle(self) -> None:
        type(self).requests += 1


def run_again(manifest: Path, folder: Path) -> float:
    """Seconds of the real command over the finished batch. Raises RuntimeError where it asks the service anything."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        environ = {
            **os.environ,
            "MODELVERSE_API_KEY": "benchmark",
            "MODELVERSE_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
            "PIPELINE_EVENT_LOOP": "standard",
        }
        try:
            cost = measured(pipeline("run", str(manifest), "-o", str(folder), "-q"), environ=environ)
        finally:
            server.shutdown()
            thread.join()
    if Counting.requests:
        raise RuntimeError(f"{Counting.requests} requests for a finished batch:\n{cost.output}")
    return cost.wall


def pipeline(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipeline", *arguments]


def repeated(work: Callable[[], T], times: int) -> list[T]:
    return [work() for _ in range(times)]


# -- figures --------------------------------------------------------------------------------------------------------


def enrolling(rows: int) -> list[Figure]:
    """The ledger's own share of enrolling."""

    def one(part: str) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            return in_process(part, Path(folder), rows)

    found = repeated(lambda: (one("insert"), one("enroll")), 3)
    with tempfile.TemporaryDirectory() as folder:
        small = in_process("enroll", Path(folder), SMALL)["rss"]
    floor = [bare["new"] for bare, _ in found]
    new, known = ([ours[what] for _, ours in found] for what in ("new", "known"))
    return [
        noted(f"enrolling {rows:,} new rows, the ledger's share", new, unit="s", peer="alone"),
        noted(
            "the same beside the bare insert", ratios(new, floor), peer="`executemany`, same table, values ready-made"
        ),
        at_most(f"enrolling {rows:,} known rows again", known, 6, unit="s", peer="alone"),
        at_most(
            f"memory that {rows:,} rows take beyond {SMALL:,}",
            [ours["rss"] - small for _, ours in found],
            20,
            unit="MB",
            peer=f"{SMALL:,} rows",
        ),
    ]


def standing(folder: Path) -> list[Figure]:
    """How a batch that is nearly done stands."""
    commands = {"status": pipeline("status", str(folder)), "bare": [sys.executable, "-c", "pass"]}
    walls = interleaved({name: lambda c=c: measured(c).wall for name, c in commands.items()}, SAMPLES)  # type: ignore[misc]  # mypy infers no lambda with a default
    opening = interleaved(
        {part: lambda part=part: in_process(part, folder, 0)["seconds"] for part in ("reopen", "scan")},  # type: ignore[misc]  # as above
        SAMPLES,
    )
    beyond = [ours - bare for ours, bare in zip(walls["status"], walls["bare"], strict=True)]
    return [
        at_most("`status`, beyond a bare interpreter", beyond, 0.2, unit="s", peer="`python -c pass`"),
        noted("`status`, the whole process", walls["status"], unit="s", peer="alone"),
        at_most("opening with 1 % open, to the first pages", opening["reopen"], 0.5, unit="s", peer="alone"),
        noted("the same beside a scan", ratios(opening["reopen"], opening["scan"]), peer="reading the whole table"),
    ]


_WITH_PEAK = """
import sys
from pipeline.cli import main
try:
    main()
finally:
    status = open("/proc/self/status").read()
    print("peak", int(status.partition("VmHWM:")[2].split()[0]) * 1024)
"""


def peak(service: RawService, *arguments: str) -> float:
    """MB of a whole command, as the process itself sees them; it asks soon, because the server counts questions."""
    environ = service.environ(PIPELINE_POLL_LAG="0.02")
    output = measured([sys.executable, "-c", _WITH_PEAK, *arguments], environ=environ).output
    return int(output.rpartition("peak ")[2]) / 1e6


def memory(place: Path, many: Path, rows: int) -> list[Figure]:
    """The peak of whole commands: a manifest of a hundred times as many rows takes no more room."""
    few = place / "few.csv"
    write_manifest(few, SMALL)

    def bought(service: RawService, manifest: Path, limit: int) -> float:
        folder = tempfile.mkdtemp(dir=place)
        return peak(service, "run", str(manifest), "-o", folder, "-q", "--limit", str(limit), "--concurrency", "50")

    with raw_service() as service:
        planned = [peak(service, "plan", str(manifest), "-o", str(place / "none")) for manifest in (few, many)]
        ran = [bought(service, manifest, BOUGHT) for manifest in (few, many)]
        more = bought(service, few, MORE_BOUGHT)
    grown = f"from {SMALL:,} to {rows:,} rows"
    return [
        at_most(f"memory of `plan`, {grown}", [planned[1] - planned[0]], 20, unit="MB", peer=f"{planned[0]:.0f} MB"),
        at_most(
            f"memory of `run`, {grown}, {BOUGHT} of them bought",
            [ran[1] - ran[0]],
            20,
            unit="MB",
            peer=f"{ran[0]:.0f} MB",
        ),
        at_most(
            f"memory of `run`, from {BOUGHT:,} to {MORE_BOUGHT:,} jobs bought",
            [more - ran[0]],
            20,
            unit="MB",
            peer=f"{ran[0]:.0f} MB",
        ),
    ]


def running_again(manifest: Path, folder: Path, read: float) -> list[Figure]:
    """The finished batch, whose manifest has not changed."""
    walls = repeated(lambda: run_again(manifest, folder), SAMPLES)
    return [
        at_most(
            "running the finished batch again, no request sent",
            walls,
            10,
            unit="s",
            peer="alone",
            remark="The manifest is known by its digest: no row is read.",
        ),
        noted(
            "the same beside reading its rows into the ledger",
            [wall / read for wall in walls],
            peer="the first enrolment",
        ),
    ]


def main(arguments: Sequence[str]) -> None:
    if arguments and arguments[0] in PARTS:
        part, folder, rows = arguments
        print(json.dumps(PARTS[part](Path(folder), int(rows))))
        return
    rows = FEW if "--quick" in arguments else MANY
    figures = enrolling(rows)
    with tempfile.TemporaryDirectory() as place:
        manifest, folder = Path(place) / "shots.csv", Path(place) / "outputs"
        write_manifest(manifest, rows)
        read = asyncio.run(enroll_manifest(manifest, folder))
        figures.append(noted(f"enrolling a CSV of {rows:,} rows, its reading included", [read], unit="s", peer="alone"))
        asyncio.run(end_all(folder))
        figures += running_again(manifest, folder, read)
        figures += memory(Path(place), manifest, rows)
        open_some(folder)
        figures += standing(folder)
    if rows == MANY:
        publish("batches", "Batches of a million jobs", METHOD, figures)
    else:
        for figure in figures:
            print(f"{figure.claim}: {figure.measured} (goal {figure.goal or 'none'})")


if __name__ == "__main__":
    main(sys.argv[1:])
