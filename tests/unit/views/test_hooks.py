"""Commands for what happens: real shells, what they are told, and how they end."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings import NAMES
from pipeline.views.hooks import AT_ONCE, PREFIX, JobHooks, carry_out, environment, job_variables
from tests.unit.ends import about

LINE = {
    "run_id": "earlier",
    "job_id": "wave",
    "status": "succeeded",
    "attempts": 2,
    "model": "m",
    "task_id": "t",
    "files": [{"path": "videos/wave.mp4"}, {"path": "videos/wave-2.mp4"}],
    "error": None,
}


async def carried(command: str, told: bytes = b"", limit: float = 20.0) -> str | None:
    """What went wrong with a command."""
    return await carry_out(command, {}, told, limit)


def is_alive(pid: int) -> bool:
    """Whether a process is there that is no zombie."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


async def is_gone(pid: int) -> bool:
    """Whether a process that was killed goes within some seconds."""
    async with asyncio.timeout(5):
        while is_alive(pid):
            await asyncio.sleep(0.01)
    return True


async def written(path: Path) -> str:
    """A file's text, once a command has written a whole line of it."""
    async with asyncio.timeout(10):
        while not (path.exists() and path.read_text().endswith("\n")):
            await asyncio.sleep(0.01)
    return path.read_text()


def children() -> set[str]:
    """This process's children, zombies included."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found |= set((task / "children").read_text().split())
    return found


# -- what a command is told --------------------------------------------------------------------------------------------


async def test_a_command_has_the_facts_when_it_runs(tmp_path: Path) -> None:
    """In its environment, and on its standard input as they are, however long."""
    told = b"x" * 3_000_000 + b"\n"
    variables = job_variables(about(tmp_path), LINE)
    command = f'cat > {tmp_path}/in; printf "%s\\n" "$VIDEO_BATCH_FILE" "$VIDEO_BATCH_FILES" > {tmp_path}/env'
    assert await carry_out(command, variables, told, 20) is None
    assert (tmp_path / "in").read_bytes() == told
    first, second = f"{tmp_path}/videos/wave.mp4", f"{tmp_path}/videos/wave-2.mp4"
    assert (tmp_path / "env").read_text().splitlines() == [first, first, second]


def test_a_job_names_the_run_that_ended_it_when_another_tells_of_it(tmp_path: Path) -> None:
    """A run that was killed leaves its jobs to be told of by the next one; they keep their run."""
    assert job_variables(about(tmp_path), LINE)["RUN_ID"] == "earlier"


def test_a_hook_cannot_steer_the_program_when_it_calls_it() -> None:
    """No variable of ours is a setting of ours, and the key is in none."""
    assert not any(PREFIX.startswith("PIPELINE_") or f"PIPELINE_{name.upper()}".startswith(PREFIX) for name in NAMES)
    made = environment({"JOB_ID": "a"}, {"MODELVERSE_API_KEY": "sk", "PIPELINE_LIMIT": "3", f"{PREFIX}STALE": "x"})
    assert made == {"PIPELINE_LIMIT": "3", "VIDEO_BATCH_JOB_ID": "a"}


@pytest.mark.parametrize("value", ["a\0b", "lone \ud800 surrogate", "undecodable \udcff"])
async def test_a_command_runs_when_a_fact_is_no_ordinary_text(value: str) -> None:
    """What no environment can carry is written in another way."""
    assert await carry_out('test -n "$VIDEO_BATCH_X"', {"X": value}, b"", 20) is None


def test_a_long_message_is_cut_when_it_goes_into_the_environment() -> None:
    """A service that explains itself at length does not keep the command from starting."""
    made = environment({"ERROR_MESSAGE": "x" * 200_000}, {})
    assert len(made["VIDEO_BATCH_ERROR_MESSAGE"]) <= 1000


# -- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("exit 3", "exit code 3"),
        ("echo first; echo 'no such \033[31mbucket' >&2; echo; exit 3", "exit code 3: no such \\x1b[31mbucket"),
        ("kill -TERM $$", "it was ended by signal 15"),
        ("nosuchcommand", "exit code 127: /bin/sh: "),
        ("cat > /dev/null; exit 0", None),
        ("true", None),
    ],
)
async def test_the_last_line_is_told_when_a_command_fails(command: str, complaint: str | None) -> None:
    """The exit code and the last line of output, harmless to a terminal; nothing where it went well."""
    wrong = await carried(command, b"told\n" * 100_000)
    assert wrong is None if complaint is None else (wrong or "").startswith(complaint)


async def test_a_command_is_killed_when_its_time_is_up(tmp_path: Path) -> None:
    """With all that it has started, and without leaving a zombie."""
    before = children()
    command = f"sleep 1000 & echo $! > {tmp_path}/pid; echo waiting; sleep 1000"
    assert await carried(command, limit=0.5) == "it was killed after 0.5 s: waiting"
    assert await is_gone(int((tmp_path / "pid").read_text()))
    assert children() <= before


async def test_a_command_is_over_when_its_shell_has_ended(tmp_path: Path) -> None:
    """What it leaves in the background holds up nobody, and is ended."""
    began = time.monotonic()
    assert await carried(f"sleep 1000 & echo $! > {tmp_path}/pid; exit 0", limit=30) is None
    assert time.monotonic() - began < 10
    assert await is_gone(int((tmp_path / "pid").read_text()))


async def test_a_command_holds_up_nobody_when_it_leaves_its_group(tmp_path: Path) -> None:
    """A daemon that keeps the output open is its author's affair."""
    left = f"while [ ! -s {tmp_path}/pid ]; do sleep 0.01; done"
    command = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 1000' & {left}; exit 0"
    assert await carried(command, limit=30) is None
    os.kill(int(await written(tmp_path / "pid")), 9)


async def test_output_is_not_kept_when_it_is_endless() -> None:
    """A gigabyte passes through a few kilobytes, and the end of it is told."""
    wrong = await carried("head -c 1000000000 /dev/zero; echo; echo the end; exit 1", limit=50)
    assert wrong == "exit code 1: the end"


async def test_a_command_is_killed_when_whoever_waits_is_cancelled(tmp_path: Path) -> None:
    """At once, and it is gone when the waiting ends."""
    before = children()
    waiting = asyncio.create_task(carried(f"echo $$ > {tmp_path}/pid; sleep 1000"))
    pid = int(await written(tmp_path / "pid"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not is_alive(pid)
    assert children() <= before


async def test_a_command_that_cannot_start_is_told_when_it_is_too_long() -> None:
    """The system's refusal is an answer like others."""
    assert (await carried("#" * 3_000_000) or "").startswith("it cannot be started: ")


@pytest.mark.both_loops
async def test_a_command_inherits_the_same_when_the_loop_is_another(tmp_path: Path) -> None:
    """None of our open files, and signals that we were told to ignore stay ignored: by `nohup`, say."""
    told = tmp_path / "told"
    command = f"ls /proc/$$/fd > {told}; grep SigIgn /proc/$$/status >> {told}"
    ours = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(ours, True)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert await carry_out(command, {}, b"", 20) is None
    finally:
        signal.signal(signal.SIGHUP, before)
        os.close(ours)
    *open_files, ignored = told.read_text().splitlines()
    assert {"0", "1", "2"} <= set(open_files)
    assert str(ours) not in open_files
    assert int(ignored.split()[1], 16) & 1 << signal.SIGHUP - 1


async def test_no_descriptor_is_left_when_commands_have_ended() -> None:
    """However they ended."""
    await carried("true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for command, limit in (("true", 20.0), ("sleep 1000", 0.05), ("#" * 3_000_000, 1.0)):
        await carried(command, limit=limit)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# -- one for every job -------------------------------------------------------------------------------------------------


class Jobs:
    """Results lines in memory, and a command that notes for which it ran."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.lines = [(number, json.dumps(LINE | {"job_id": f"j{number}"})) for number in range(1, count + 1)]
        self.remembered = 0
        self.complaints: list[str] = []
        self.asked: list[int] = []

    async def page(self, after: int, limit: int) -> list[tuple[int, str]]:
        self.asked.append(limit)
        return [line for line in self.lines if line[0] > after][:limit]

    def hooks(self, command: str, told: int = 0, limit: float = 20.0) -> JobHooks:
        return JobHooks(
            command,
            limit,
            about(self.folder),
            told=told,
            lines=self.page,
            remember=self._remember,
            complain=self.complaints.append,
        )

    def _remember(self, number: int) -> None:
        assert number > self.remembered
        self.remembered = number

    @property
    def told(self) -> list[str]:
        file = self.folder / "told"
        return file.read_text().split() if file.exists() else []


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something that commands bring about."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_every_job_is_told_once_when_there_are_many(tmp_path: Path) -> None:
    """Each line is told of, from a page in memory at a time, and the last one is remembered."""
    jobs = Jobs(tmp_path, 45)
    hooks = jobs.hooks(f"echo $VIDEO_BATCH_JOB_ID >> {tmp_path}/told")
    hooks.close()
    await hooks.run()
    assert sorted(jobs.told) == sorted(f"j{number}" for number in range(1, 46))
    assert (jobs.remembered, jobs.complaints) == (45, [])
    assert max(jobs.asked) <= 20


async def test_no_more_than_some_run_together_when_many_jobs_end(tmp_path: Path) -> None:
    """The others wait in the ledger, not in memory and not in processes."""
    jobs = Jobs(tmp_path, 10)
    hooks = jobs.hooks(
        f"echo $VIDEO_BATCH_JOB_ID >> {tmp_path}/told; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    )
    hooks.close()
    running = asyncio.create_task(hooks.run())
    await until(lambda: len(jobs.told) == AT_ONCE)
    (tmp_path / "go").touch()
    assert sorted(jobs.told) == ["j1", "j2", "j3", "j4"]
    await running
    assert len(jobs.told) == 10


async def test_the_cursor_stays_behind_when_an_early_command_still_runs(tmp_path: Path) -> None:
    """What is remembered is told: a kill at any moment repeats a command, and forgets none."""
    jobs = Jobs(tmp_path, 4)
    slow = f"[ $VIDEO_BATCH_JOB_ID = j2 ] && while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    hooks = jobs.hooks(f"echo $VIDEO_BATCH_JOB_ID >> {tmp_path}/told; {slow}; true")
    hooks.close()
    running = asyncio.create_task(hooks.run())
    await until(lambda: len(jobs.told) == 4 and jobs.remembered)
    assert jobs.remembered == 1
    (tmp_path / "go").touch()
    await running
    assert jobs.remembered == 4


async def test_a_failed_command_counts_as_told_when_others_follow(tmp_path: Path) -> None:
    """It is complained of with its job, and not repeated."""
    jobs = Jobs(tmp_path, 2)
    hooks = jobs.hooks("exit 3")
    hooks.close()
    await hooks.run()
    assert sorted(jobs.complaints) == ["job j1: exit code 3", "job j2: exit code 3"]
    assert jobs.remembered == 2


async def test_no_command_begins_when_the_run_is_in_a_hurry(tmp_path: Path) -> None:
    """Those under way end; the others are left to the next run, which goes on behind the cursor."""
    jobs = Jobs(tmp_path, 9)
    hooks = jobs.hooks(
        f"echo $VIDEO_BATCH_JOB_ID >> {tmp_path}/told; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    )
    running = asyncio.create_task(hooks.run())
    await until(lambda: len(jobs.told) == AT_ONCE)
    hooks.hurry()
    (tmp_path / "go").touch()
    await running
    assert (len(jobs.told), jobs.remembered) == (4, 4)
    again = jobs.hooks(f"echo $VIDEO_BATCH_JOB_ID >> {tmp_path}/told", told=jobs.remembered)
    again.close()
    await again.run()
    assert sorted(jobs.told) == sorted(f"j{number}" for number in range(1, 10))


async def test_a_job_is_told_of_soon_when_it_ends_later(tmp_path: Path) -> None:
    """The run wakes the hooks; nobody polls."""
    jobs = Jobs(tmp_path, 0)
    hooks = jobs.hooks(f"echo $VIDEO_BATCH_JOB_ID >> {tmp_path}/told")
    running = asyncio.create_task(hooks.run())
    await until(lambda: jobs.asked)
    jobs.lines = [(1, json.dumps(LINE))]
    hooks.wake()
    await until(lambda: jobs.told)
    hooks.close()
    await running
    assert jobs.told == ["wave"]
