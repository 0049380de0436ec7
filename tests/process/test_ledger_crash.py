"""A process that is killed at any moment loses nothing that its ledger had acknowledged."""

import asyncio
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from pipeline.core.jobs import Failure, Job, JobState, Source, Stage, StoredFile, Task, TaskReport, TaskState
from pipeline.ledger import LEDGER_NAME, RESULTS_NAME, Ledger
from pipeline.ledger.schema import MIGRATIONS, open_for_writing

KILLS = 10
AT_ONCE = 20
"""Jobs that the child leads at the same time."""

SUBMITTED = ["submitting", "running", "fetching", "done"]


def say(acknowledged: str) -> None:
    """Tell the parent at once."""
    sys.stdout.write(f"{acknowledged}\n")
    sys.stdout.flush()


async def lead(ledger: Ledger, job_id: str) -> None:
    """Bring one job from the queue to its end, and say on standard output what is durable."""
    await ledger.intent(job_id, base_url="https://api.example.com", body_digest="d", at=1.0)
    say(f"{job_id} submitting")
    await ledger.accepted(job_id, Task(f"task-{job_id}", "https://api.example.com"), 2.0)
    say(f"{job_id} running")
    await ledger.finished(job_id, TaskReport(TaskState.SUCCEEDED, "Success", ("https://cdn.example.com/v",)), 3.0)
    say(f"{job_id} fetching")
    if job_id.endswith("0"):
        await ledger.download_failed(job_id, Failure(Stage.DOWNLOAD, "too_large", "no"), 4.0, final=True)
    else:
        await ledger.downloaded(job_id, (StoredFile(f"videos/{job_id}", 1, "00", "https://cdn.example.com/v"),), 4.0)
    say(f"{job_id} done")


def jobs(first: int) -> Iterator[Job]:
    for number in range(first, first + 5000):
        job_id = f"j{number}"
        yield Job(job_id, job_id, "model", {"prompt": "x" * 200}, {}, f"{job_id}.mp4", Source("m.csv", number + 2))


async def child(folder: Path, number: int) -> None:
    """Lead fresh jobs until somebody kills the process."""
    async with await Ledger.open(folder, run_id=f"run-{number}", at=0.0) as ledger:
        await ledger.enroll(jobs(number * 5000), "error", 0.0)
        say(f"enrolled {number}")
        waiting = iter([f"j{n}" for n in range(number * 5000, (number + 1) * 5000)])

        async def crew() -> None:
            for job_id in waiting:
                await lead(ledger, job_id)

        await asyncio.gather(*(crew() for _ in range(AT_ONCE)))


def kill_at_a_random_moment(folder: Path, number: int, moment: random.Random) -> list[str]:
    """Start a child, kill it after a random number of acknowledgements, and return all that it had said."""
    command = [sys.executable, __file__, str(folder), str(number)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(root)}) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(moment.randrange(0, 600))]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().splitlines(keepends=True)
    assert process.returncode == -signal.SIGKILL
    return [line.strip() for line in said if line.endswith("\n")]


def reached(state: str, acknowledged: str) -> bool:
    """Whether the recorded state is the acknowledged one or a later one."""
    return SUBMITTED.index("done" if state == "failed" else state) >= SUBMITTED.index(acknowledged)


async def test_every_acknowledged_transition_is_there_when_the_process_was_killed(tmp_path: Path) -> None:
    """After kill -9 at random moments no acknowledged transition is lost, and results.jsonl equals the ledger."""
    moment = random.Random(20261122)
    for number in range(KILLS):
        said = kill_at_a_random_moment(tmp_path, number, moment)
        states = recorded_states(tmp_path)
        enrolled = sum(int(job_id[1:]) // 5000 == number for job_id in states)
        assert enrolled in ({5000} if f"enrolled {number}" in said else {0, 5000})
        for job_id, acknowledged in (line.split() for line in said if not line.startswith("enrolled")):
            assert reached(states[job_id], acknowledged), (job_id, acknowledged, states[job_id])
        await check_reopening(tmp_path)


def recorded_states(folder: Path) -> dict[str, str]:
    """What the ledger holds, read before anybody recovers it."""
    with closing(sqlite3.connect(folder / LEDGER_NAME)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone():
            return {}
        return dict(connection.execute("SELECT job_id, state FROM jobs WHERE state <> 'unknown'"))


async def check_reopening(folder: Path) -> None:
    """Recover as the next run would, and compare the results file with the ledger."""
    async with await Ledger.open(folder, run_id="check", at=9.0) as ledger:
        recovery = await ledger.recover(9.0)
        counts = await ledger.counts()
    assert recovery.unknown <= AT_ONCE
    assert counts[JobState.SUBMITTING] == 0
    with closing(sqlite3.connect(folder / LEDGER_NAME)) as connection:
        lines = [line for (line,) in connection.execute("SELECT line FROM results ORDER BY seq")]
    assert (folder / RESULTS_NAME).read_text().splitlines() == lines
    assert len(lines) == sum(counts[state] for state in JobState if state.ended)


# -- the making of a ledger


def kill_on_the_way(last: int) -> None:
    """Kill this process by its own hand at the so manieth thing that it does to a file or asks of SQLite."""
    left = last
    flush, connect = os.fsync, sqlite3.connect

    def passed(*_anything: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(event: str, _arguments: tuple[Any, ...]) -> None:
        if event.partition(".")[0] in {"open", "os", "sqlite3"}:
            passed()

    def connected(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_trace_callback(passed)
        return connection

    def flushed(descriptor: int) -> None:
        passed()
        flush(descriptor)

    os.fsync, sqlite3.connect = flushed, connected
    sys.addaudithook(heard)


def make_ledgers(root: Path) -> None:
    """Make a ledger in one folder after the other, each time killed a little later, until one is made."""
    for last in itertools.count(1):
        folder = root / f"{last:04}"
        if (child := os.fork()) == 0:
            kill_on_the_way(last)
            open_for_writing(folder)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


async def test_a_new_ledger_is_there_whole_or_not_at_all_when_its_making_was_killed(tmp_path: Path) -> None:
    """Whatever a crash leaves of a ledger that was being made, the next run makes one and tidies up."""
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, __file__, str(tmp_path)], env={"PYTHONPATH": str(root)}, check=True)
    folders = sorted(tmp_path.iterdir())
    assert len(folders) > 50
    made = 0
    for folder in folders:
        if (folder / LEDGER_NAME).exists():
            made += 1
            with closing(sqlite3.connect(folder / LEDGER_NAME)) as connection:
                assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        async with await Ledger.open(folder, run_id="next", at=9.0, committer="inline") as ledger:
            assert sum((await ledger.counts()).values()) == 0
        assert {path.name for path in folder.iterdir()} == {LEDGER_NAME, RESULTS_NAME}
    assert 0 < made < len(folders)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        make_ledgers(Path(sys.argv[1]))
    else:
        asyncio.run(child(Path(sys.argv[1]), int(sys.argv[2])))
