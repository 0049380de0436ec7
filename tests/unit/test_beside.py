"""What happens beside a run: in which order, for how long, and that nothing of it reaches the run."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import beside as beside_module
from pipeline.beside import MOST_REPORTED, PATIENCE, Beside, Complaints, Ended, check, wants_report
from pipeline.core.errors import FolderError, PipelineError, UsageError
from pipeline.core.events import Event, ExtraFailed
from pipeline.core.jobs import JobState
from pipeline.engine.batch import Summary
from pipeline.engine.desk import Stop
from pipeline.ledger import Ledger
from pipeline.settings import Notify, Settings
from pipeline.views import notify
from pipeline.views.facts import RunEnd
from tests.unit.ends import about, done, failed, lost

FINE = Ended(Summary({JobState.DONE: 1}, ()))
DEADLINE = Ended(Summary({JobState.QUEUED: 1}, (Stop("deadline", "this run was given 5 s"),)))


class Stage:
    """A folder with a real ledger, what is told, and what runs beside."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder = folder
        self.ledger = ledger
        self.told: list[Event] = []
        self.reports = 0

    def beside(self, *, report: Callable[[Path], object] | None = None, **settings: Any) -> Beside:
        return Beside(
            Settings(**settings),
            about(self.folder),
            self.ledger,
            tell=self.told.append,
            report=report or self._report,
        )

    def _report(self, folder: Path) -> None:
        assert folder == self.folder
        self.reports += 1

    @property
    def complaints(self) -> list[tuple[str, str]]:
        assert all(isinstance(event, ExtraFailed) for event in self.told)
        return [(event.what, event.message) for event in self.told if isinstance(event, ExtraFailed)]

    def lines(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A place to run things beside."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        yield Stage(tmp_path, ledger)


# -- the end of a run --------------------------------------------------------------------------------------------------


async def test_everything_is_done_when_a_run_ends(stage: Stage) -> None:
    """In its order: every job is told of, then come sidecars, report and metrics, and the end is told last."""
    note = f"echo $VIDEO_BATCH_EVENT >> {stage.folder}/order"
    made = stage.beside(
        on_job=f"sleep 0.2; {note}",
        on_finish=f"{note}; ls {stage.folder}/videos {stage.folder}/m.prom > {stage.folder}/there",
        sidecar=True,
        metrics_file=str(stage.folder / "m.prom"),
        report=lambda folder: subprocess.run(["/bin/sh", "-c", "echo report >> order"], cwd=folder, check=True),
    )
    async with made as beside:
        beside.hear(await done(stage.ledger, stage.folder, "a"))
        beside.hear(await failed(stage.ledger, "b"))
        await beside.finish(Ended(Summary({JobState.DONE: 1, JobState.FAILED: 1}, ())))
    assert stage.lines("order") == ["job_ended", "job_ended", "report", "run_finished"]
    assert "a.mp4.json" in stage.lines("there")
    metrics = (stage.folder / "m.prom").read_text()
    assert f'pipeline_run_in_progress{{folder="{stage.folder}"}} 0.0' in metrics
    assert f'pipeline_last_run_exit_code{{folder="{stage.folder}"}} 1.0' in metrics
    assert stage.complaints == []


async def test_nothing_is_written_when_a_run_had_nothing_to_do(stage: Stage) -> None:
    """No report where nothing moved; a command for the end runs all the same, and says so by its counts."""
    await done(stage.ledger, stage.folder, "a")
    async with stage.beside(on_finish=f"cat > {stage.folder}/facts") as beside:
        await beside.finish(FINE)
    assert stage.reports == 0
    facts = json.loads((stage.folder / "facts").read_text())
    assert (facts["jobs"]["done"], facts["ended"]["done"]) == (1, 0)


@pytest.mark.parametrize(
    ("jobs", "moved", "report", "wanted"),
    [
        (MOST_REPORTED, True, True, True),
        (MOST_REPORTED + 1, True, True, False),
        (1, False, True, False),
        (1, True, False, False),
    ],
)
def test_a_report_is_written_when_the_batch_is_not_too_large(
    tmp_path: Path, jobs: int, moved: bool, report: bool, wanted: bool
) -> None:
    """A run's memory does not grow with its batch, and a report's does: a very large one is left to its command."""
    end = RunEnd(
        about=about(tmp_path), exit_code=0, started_at=0.0, ended_at=1.0, counts={JobState.DONE: jobs}, moved=moved
    )
    assert wants_report(Settings(report=report), end) is wanted


async def test_a_run_did_something_when_only_its_recovery_ended_a_job(stage: Stage) -> None:
    """A submit that was caught by a crash becomes unknown without an event; the ledger tells."""
    async with stage.beside() as beside:
        await lost(stage.ledger, "a")
        await beside.finish(FINE)
    assert stage.reports == 1


@pytest.mark.parametrize("error", [FolderError("the disk is full"), ZeroDivisionError()])
async def test_others_are_told_when_an_error_ends_the_run(stage: Stage, error: Exception) -> None:
    """With its sentence and its exit code; a bug is named by its kind."""
    async with stage.beside(on_finish=f"cat > {stage.folder}/facts") as beside:
        await beside.finish(Ended(error=error))
    facts = json.loads((stage.folder / "facts").read_text())
    wanted = (3, "the disk is full") if isinstance(error, PipelineError) else (70, "a bug: ZeroDivisionError")
    assert (facts["exit_code"], facts["error"]) == wanted


# -- failures ----------------------------------------------------------------------------------------------------------


async def test_nothing_reaches_the_run_when_everything_fails(stage: Stage) -> None:
    """Each failure is told under its name, and the rest is done."""

    def broken(_folder: Path) -> None:
        raise FolderError("no room for a report")

    settings = {
        "on_job": "echo no bucket; exit 3",
        "on_finish": "exit 4",
        "metrics_file": str(stage.folder / "no/m.prom"),
        "notify": Notify(webhook="http://127.0.0.1:1/s3cr3t"),
        "sidecar": True,
    }
    async with stage.beside(report=broken, **settings) as beside:
        beside.hear(await done(stage.ledger, stage.folder, "a"))
        (stage.folder / "videos/b.mp4.json").write_text("mine")
        beside.hear(await done(stage.ledger, stage.folder, "b"))
        beside.hear(await failed(stage.ledger, "c"))
        await beside.finish(FINE)
    told = dict(stage.complaints)
    assert set(told) == {"on_job", "on_finish", "metrics", "notify", "report", "sidecar"}
    assert told["report"] == "no room for a report"
    assert told["on_finish"] == "exit code 4"
    assert "exit code 3: no bucket" in told["on_job"]
    assert "s3cr3t" not in str(told)
    assert (stage.folder / "videos/a.mp4.json").exists()


async def test_a_bug_reaches_nobody_when_it_is_beside_the_run(stage: Stage) -> None:
    """It is told like a failure, and named a bug."""

    def buggy(_folder: Path) -> None:
        raise ZeroDivisionError("by nothing")

    async with stage.beside(report=buggy) as beside:
        beside.hear(await done(stage.ledger, stage.folder, "a"))
        await beside.finish(FINE)
    assert stage.complaints == [("report", "a bug: ZeroDivisionError: by nothing")]


@pytest.mark.parametrize("place", ["_last_line", "_facts"])
async def test_the_run_goes_on_when_what_is_beside_it_cannot_even_begin(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A bug at the beginning or at the end is told, and the run never sees it."""
    monkeypatch.setattr(beside_module, place, lambda *_: 1 / 0)
    async with stage.beside(on_finish="true") as beside:
        beside.hear(await done(stage.ledger, stage.folder, "a"))
        await beside.finish(FINE)
    assert stage.complaints == [("on_finish", "a bug: ZeroDivisionError: division by zero")]


def test_a_failure_is_told_now_and_then_when_it_repeats() -> None:
    """Each kind at once, then once a minute with how many there were, and the rest at the end."""
    told: list[tuple[str, str]] = []
    now = 0.0
    complaints = Complaints(lambda what, message: told.append((what, message)), lambda: now)
    for number in range(1000):
        complaints.hear("on_job", f"job {number}")
    complaints.hear("metrics", "full")
    now = 61.0
    complaints.hear("on_job", "job 1000")
    complaints.hear("on_job", "job 1001")
    complaints.hear("on_job", "job 1002")
    complaints.close()
    assert told == [
        ("on_job", "job 0"),
        ("metrics", "full"),
        ("on_job", "job 1000 (999 more since the last)"),
        ("on_job", "job 1002 (1 more since the last)"),
    ]


@pytest.mark.parametrize("setting", [{"metrics_file": "m.prom"}, {"notify": Notify(apprise=("json://localhost",))}])
def test_a_missing_library_is_refused_when_a_setting_needs_it(
    monkeypatch: pytest.MonkeyPatch, setting: dict[str, Any]
) -> None:
    """Before anything is submitted, with the command that installs it."""
    notify._library.cache_clear()
    for name in ("apprise", "prometheus_client"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'video-batch-pipeline\[(metrics|notify)\]'"):
        check(Settings(**setting))


# -- stops -------------------------------------------------------------------------------------------------------------


async def test_everything_ends_soon_when_the_run_was_told_to_stop(stage: Stage) -> None:
    """All at the same time, and no longer than a small patience; what hangs is killed, what is quick is done."""
    hang = f"echo $VIDEO_BATCH_EVENT >> {stage.folder}/begun; sleep 1000"
    hanging = {"on_job": hang, "on_finish": hang, "metrics_file": str(stage.folder / "m.prom"), "sidecar": True}
    async with stage.beside(**hanging) as beside:
        beside.hear(await done(stage.ledger, stage.folder, "a"))
        await until(lambda: stage.lines("begun"))
        beside.hurry(8.0)
        began = time.monotonic()
        await beside.finish(Ended(Summary({JobState.DONE: 1}, (Stop("signal", "SIGTERM received"),))))
        assert PATIENCE - 0.1 < time.monotonic() - began < PATIENCE + 1
    assert stage.lines("begun") == ["job_ended", "run_finished"]
    cut = "it was cut short, because the run was told to stop"
    assert stage.complaints == [("on_job", cut), ("on_finish", cut)]
    assert (stage.folder / "videos/a.mp4.json").exists()
    assert "pipeline_run_in_progress" in (stage.folder / "m.prom").read_text()
    assert stage.reports == 1


async def test_everything_ends_at_once_when_the_run_was_told_twice(stage: Stage) -> None:
    """Also in the middle of its end."""
    async with stage.beside(on_finish=f"echo x > {stage.folder}/begun; sleep 1000") as beside:
        finishing = asyncio.create_task(beside.finish(FINE))
        await until(lambda: stage.lines("begun"))
        beside.hurry(8.0)
        beside.hurry(0.0)
        began = time.monotonic()
        await finishing
        assert time.monotonic() - began < 1


async def test_the_end_is_cut_short_when_a_stop_comes_in_the_middle_of_it(stage: Stage) -> None:
    """A hook that hangs at the end is left its small patience, and what comes after it is begun."""
    commands = {"on_job": f"echo x > {stage.folder}/begun; sleep 1000", "on_finish": f"echo y > {stage.folder}/end"}
    async with stage.beside(**commands) as beside:
        beside.hear(await done(stage.ledger, stage.folder, "a"))
        finishing = asyncio.create_task(beside.finish(FINE))
        await until(lambda: stage.lines("begun"))
        began = time.monotonic()
        beside.hurry(8.0)
        await finishing
        assert time.monotonic() - began < PATIENCE + 1
    assert stage.lines("end") == ["y"]


async def test_a_deadline_leaves_the_rest_when_hooks_are_many(stage: Stage) -> None:
    """After a stop by the clock no command begins once the time of one has passed; the next run tells of the others."""
    command = f"echo $VIDEO_BATCH_JOB_ID >> {stage.folder}/told; sleep 0.3"
    async with stage.beside(on_job=command, hook_timeout=1.0) as beside:
        for number in range(40):
            beside.hear(await done(stage.ledger, stage.folder, f"j{number}"))
        await beside.finish(DEADLINE)
    first = stage.lines("told")
    assert 4 <= len(first) < 40
    async with stage.beside(on_job=command.partition(";")[0]) as beside:
        await beside.finish(FINE)
    assert sorted(stage.lines("told")) == sorted(f"j{number}" for number in range(40))
    assert stage.complaints == []


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something that commands bring about."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


# -- over many runs ----------------------------------------------------------------------------------------------------


async def test_jobs_are_told_of_by_the_next_run_when_one_was_killed(stage: Stage) -> None:
    """Those that nobody was told of, and no others."""
    command = f"echo $VIDEO_BATCH_JOB_ID >> {stage.folder}/told"
    async with stage.beside(on_job=command) as beside:
        beside.hear(await done(stage.ledger, stage.folder, "a"))
        await beside.finish(FINE)
        await failed(stage.ledger, "b")  # and here the machine ended
    async with stage.beside(on_job=command) as beside:
        await beside.finish(FINE)
    assert stage.lines("told") == ["a", "b"]


async def test_old_jobs_are_not_told_of_when_a_command_is_new(stage: Stage) -> None:
    """It begins with what ends from now on; and what ends in a run without a command is never told of."""
    command = f"echo $VIDEO_BATCH_JOB_ID >> {stage.folder}/told"
    await done(stage.ledger, stage.folder, "before")
    async with stage.beside(on_job=command) as beside:
        beside.hear(await done(stage.ledger, stage.folder, "a"))
        await beside.finish(FINE)
    async with stage.beside() as beside:
        beside.hear(await done(stage.ledger, stage.folder, "without"))
        await beside.finish(FINE)
    async with stage.beside(on_job=command) as beside:
        beside.hear(await done(stage.ledger, stage.folder, "b"))
        await beside.finish(FINE)
    assert stage.lines("told") == ["a", "b"]


async def test_sidecars_are_completed_when_the_setting_is_new(stage: Stage) -> None:
    """Also by a run that had nothing to do."""
    await done(stage.ledger, stage.folder, "a")
    async with stage.beside(sidecar=True) as beside:
        await beside.finish(FINE)
    assert (stage.folder / "videos/a.mp4.json").exists()


async def test_the_last_success_is_kept_when_the_metrics_file_is_gone(stage: Stage) -> None:
    """The ledger remembers it over runs."""
    file = stage.folder / "m.prom"
    for ended in (FINE, DEADLINE):
        file.unlink(missing_ok=True)
        async with stage.beside(metrics_file=str(file)) as beside:
            await beside.finish(ended)
    assert f'pipeline_last_run_exit_code{{folder="{stage.folder}"}} 3.0' in file.read_text()
    assert "pipeline_last_success_timestamp_seconds{" in file.read_text()


async def test_nothing_is_left_when_the_run_is_cancelled(stage: Stage) -> None:
    """No asyncio task, and no command: the rig looks for the first, and this for the second."""
    async with stage.beside(on_job=f"echo $$ > {stage.folder}/pid; sleep 1000", sidecar=True) as beside:
        beside.hear(await done(stage.ledger, stage.folder, "a"))
        await until(lambda: stage.lines("pid"))
    assert not Path(f"/proc/{stage.lines('pid')[0]}").exists()
