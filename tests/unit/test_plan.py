"""What a plan says of a manifest and a folder: rows by state, what is bought, time, disk and caps."""

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import FolderError, LedgerError, UsageError
from pipeline.core.jobs import Failure, JobState, Stage, StoredFile, Task, TaskReport, TaskState
from pipeline.engine.durations import KEY
from pipeline.engine.schedule import Course, LearnedSchedule
from pipeline.ledger import Ledger
from pipeline.manifest import open_manifest
from pipeline.plan import BYTES_A_SECOND, Plan, Rows, plan
from pipeline.settings import Settings

STATES = ("queued", "submitting", "running", "fetching", "done", "failed", "unknown", "again")
FAILURE = Failure(Stage.GENERATE, "oops", "it failed")
LOST = Failure(Stage.SUBMIT, "timeout", "no answer")

Row = dict[str, Any]
Planned = Callable[..., Plan]


def row(name: str, **parameters: Any) -> Row:
    """A job of Wan2.2-I2V: 0.90 CNY expected, 1.44 at worst, 50 s, five seconds of video."""
    return {"id": name, "input": {"image_url": "https://example.com/a.jpg"}, "parameters": parameters}


UNPRICED: Row = {"id": "unpriced", "model": "kling-v3", "input": {"prompt": "x"}, "parameters": {"mode": "std"}}


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """The plan of such rows, in the folder beside the manifest."""

    def made(rows: Iterable[Row], **settings: Any) -> Plan:
        path = tmp_path / "shots.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
        with open_manifest(path) as manifest:
            manifest.check()
            return plan(manifest, tmp_path / "out", Settings(**settings))

    return made


@pytest.fixture
def settled(tmp_path: Path) -> Callable[..., Any]:
    """Enroll one job in each state, named after it, and hand the ledger to whoever wants to do more."""

    async def made(*states: str, then: Callable[[Ledger], Any] | None = None) -> None:
        path = tmp_path / "old.jsonl"
        path.write_text("".join(json.dumps(row(state)) + "\n" for state in states))
        (tmp_path / "out").mkdir()
        with open_manifest(path) as manifest:
            manifest.check()
            async with await Ledger.open(tmp_path / "out", run_id="r", at=1.0) as ledger:
                await ledger.enroll(manifest.jobs(), "error", 1.0)
                for state in states:
                    await bring(ledger, state)
                if then:
                    await then(ledger)

    return made


async def bring(ledger: Ledger, state: str) -> None:
    """A job from `queued` into the state that it is named after."""
    if state in {"queued", "new"}:
        return
    await ledger.intent(state, base_url="https://x.example", body_digest="d", at=2.0)
    if state == "unknown":
        await ledger.lost(state, LOST, at=3.0)
    if state in {"submitting", "unknown"}:
        return
    await ledger.accepted(state, Task(f"t-{state}", "https://x.example"), at=3.0)
    if state == "failed":
        await ledger.task_failed(state, None, FAILURE, at=4.0)
    if state in {"fetching", "done", "again"}:
        await ledger.finished(state, TaskReport(TaskState.SUCCEEDED, "Success", ("https://x.example/v",)), at=4.0)
    if state == "done":
        await ledger.downloaded(state, (StoredFile("videos/done.mp4", 3_000_000, "00", "u"),), at=5.0)
    if state == "again":
        await ledger.download_failed(state, Failure(Stage.DOWNLOAD, "cut", "cut"), at=5.0, final=False)


# -- without a folder


def test_everything_is_new_when_there_is_no_folder(planned: Planned, tmp_path: Path) -> None:
    """Counts, price, time and disk by the catalog; nothing is created."""
    found = planned([row("a"), row("b"), row("c", resolution="720P", duration=8)], concurrency=2)
    assert found.rows == Rows(new=3)
    (total,) = found.to_submit.sums()
    assert (total.expected, total.worst) == (900_000 * 2 + 2_800_000, 1_440_000 * 2 + 2_800_000)
    assert found.disk.bytes == 18 * BYTES_A_SECOND
    assert (found.time.seconds, found.time.documented) == (None, 2)
    assert found.prices_as_of == "2026-03-24"
    assert (found.spending, found.refused) == ([], False)
    assert not (tmp_path / "out").exists()


def test_the_time_is_the_work_over_the_slots(planned: Planned) -> None:
    """Documented durations; the concurrency is the settings', and `auto` cannot be known."""
    assert planned([row(f"j{n}") for n in range(5)], concurrency=2).time.seconds == 125.0
    assert planned([row("a")], concurrency=50).time.seconds == 50.0
    auto = planned([row("a")], concurrency="auto").time
    assert (auto.seconds, auto.slots) == (None, None)


def test_an_unknown_price_is_counted_apart(planned: Planned) -> None:
    """It is in no sum, and its job is the one that a budget names."""
    found = planned([row("a"), UNPRICED])
    assert [one.jobs for one in found.to_submit.sums()] == [1]
    assert found.to_submit.unpriced == 1
    assert found.objection is None
    refused = planned([row("a"), UNPRICED], budget=Decimal(50))
    assert "1 job without a known price, first unpriced" in (refused.objection or "")
    assert refused.refused
    assert not planned([row("a"), UNPRICED], budget=Decimal(50), allow_unpriced=True).refused


@pytest.mark.parametrize(("budget", "affordable"), [("0", 0), ("1.43", 0), ("1.44", 1), ("4.31", 2), ("4.32", 3)])
def test_the_caps_say_how_many_jobs_they_allow_at_worst(planned: Planned, budget: str, affordable: int) -> None:
    """To the last hundredth."""
    assert planned([row("a"), row("b"), row("c")], budget=Decimal(budget)).affordable == affordable


def test_a_limit_or_a_selection_leaves_the_rest(planned: Planned) -> None:
    """What waits for another run is counted and not priced; a pattern that matches nothing is a mistake."""
    rows = [row("a-1"), row("a-2"), row("b-1")]
    limited = planned(rows, limit=1)
    assert (limited.to_submit.jobs, limited.beyond_limit) == (1, 2)
    selected = planned(rows, select="a-*", limit=1)
    assert (selected.to_submit.jobs, selected.beyond_limit, selected.not_selected) == (1, 1, 1)
    with pytest.raises(UsageError, match=r"no job matches --select 'c-\*'; nothing would be submitted"):
        planned(rows, select="c-*")


# -- beside a ledger


async def test_each_state_is_counted_when_the_folder_is_known(planned: Planned, settled: Any) -> None:
    """What is in flight is collected and not bought; what waits is bought; the others are left alone."""
    await settled(*STATES)
    found = planned([row(state) for state in STATES] + [row("new")])
    assert found.rows == Rows(new=1, waiting=1, in_flight=3, done=1, failed=2, unknown=1)
    assert found.to_submit.jobs == 2
    assert (found.retried, found.resubmitted) == (0, 0)
    assert not any(found.left.values())


async def test_second_attempts_are_counted_when_they_are_asked_for(planned: Planned, settled: Any) -> None:
    """A failed download is not bought again; a submit that was caught in flight is as good as unknown."""
    await settled(*STATES)
    rows = [row(state) for state in STATES]
    retried = planned(rows, retry_failed=True)
    assert (retried.to_submit.jobs, retried.retried) == (2, 1)
    assert (retried.fetched_again, retried.may_be_retried) == (1, 1)
    resubmitted = planned(rows, resubmit_unknown=True)
    assert (resubmitted.to_submit.jobs, resubmitted.resubmitted) == (3, 2)


async def test_an_unknown_job_is_not_bought_again_when_it_can_be_looked_up(planned: Planned, settled: Any) -> None:
    """The run asks for its task first; one whose task the service gave and denies cannot be looked up any more."""

    async def lose(ledger: Ledger) -> None:
        for seconds, name in enumerate(("queued", "new"), start=2):
            await ledger.intent(
                name, base_url="https://x.example", body_digest="d", at=seconds, external_id=f"vbp-{name}"
            )
        await ledger.lost("queued", LOST, at=4.0)
        await ledger.accepted("new", Task("t-new", "https://x.example"), at=4.0)
        await ledger.vanished("new", LOST, at=5.0)

    await settled("queued", "new", then=lose)
    found = planned([row("queued"), row("new")], resubmit_unknown=True)
    assert (found.rows.unknown, found.resubmitted, found.to_submit.jobs) == (2, 1, 1)


@pytest.mark.parametrize(
    ("on_changed", "bought", "refused"), [("error", 0, True), ("keep", 1, False), ("rerun", 5, False)]
)
async def test_changed_rows_are_listed(
    planned: Planned, settled: Any, on_changed: str, bought: int, refused: bool
) -> None:
    """Kept, the old jobs stay and those that wait are bought; rerun, all are bought but for those in flight."""
    await settled(*STATES)
    found = planned([row(state, resolution="720P") for state in STATES], on_changed=on_changed)
    assert found.rows == Rows(changed=8)
    assert found.fetched_again == (0 if on_changed == "rerun" else 1)
    assert (found.to_submit.jobs, found.refused) == (bought, refused)
    assert found.changed[0].differs == ("parameters.resolution",)
    assert {job.state for job in found.changed} == set(JobState)


async def test_a_row_is_refused_when_it_wants_the_output_of_another_job(planned: Planned, settled: Any) -> None:
    """A run would refuse it before it buys anything; who gives up an output lets another job have it."""
    await settled("done", "queued")
    taken = planned([row("renamed") | {"output": "done.mp4"}])
    assert taken.refused
    assert "shots.jsonl:1) would write done.mp4, which belongs to job done" in (taken.objection or "")
    given_up = planned([row("queued") | {"output": "other.mp4"}, row("new") | {"output": "queued.mp4"}])
    assert not given_up.refused
    assert planned([row("new") | {"output": "queued.mp4"}]).refused


async def test_a_row_is_refused_when_its_output_differs_from_that_of_another_job_in_case_alone(
    planned: Planned, settled: Any
) -> None:
    """As by the run: on some disks they are one file."""
    await settled("done")
    found = planned([row("DONE"), row("new")])
    assert found.refused
    assert "shots.jsonl:1) would write DONE.mp4, which is the output done.mp4 of job done in" in (found.objection or "")


async def test_an_unknown_job_is_no_paid_task_when_its_row_has_changed(planned: Planned, settled: Any) -> None:
    """What is known of the folder's money does not depend on the manifest."""
    await settled("unknown")
    assert planned([row("unknown", resolution="720P")]).unknown == planned([row("other")]).unknown == 1


async def test_rows_that_left_are_counted_by_their_state(planned: Planned, settled: Any) -> None:
    """What runs is collected without its row, and what waits is bought."""
    await settled(*STATES)
    found = planned([row("new")])
    assert {str(state): number for state, number in found.left.items() if number} == {
        "queued": 1, "submitting": 1, "running": 1, "fetching": 1, "done": 1, "failed": 2, "unknown": 1,
    }  # fmt: skip
    assert found.to_submit.jobs == 2


async def test_a_selection_may_name_what_has_left_the_manifest(planned: Planned, settled: Any) -> None:
    """A run would know the job, and so does the plan."""
    await settled("done")
    assert planned([row("new")], select="done").to_submit.jobs == 0


async def test_the_folder_teaches_time_and_size(planned: Planned, settled: Any) -> None:
    """What tasks took here counts before what the documents say, and so does the mean size of its videos."""

    async def learn(ledger: Ledger) -> None:
        schedule = LearnedSchedule(1.0)
        job = next(record.job for record in await ledger.records(JobState.DONE, limit=1))
        for _ in range(20):
            course = Course(job.kind, 0.0)
            schedule.begin(course, 0.0)
            schedule.ended(course, 20.0, 20.0)
        await ledger.remember(KEY, schedule.written())

    await settled("done", then=learn)
    found = planned([row("a"), row("b")], concurrency=1)
    assert found.disk.bytes == 6_000_000
    assert found.time.learned == 2
    assert found.time.seconds == pytest.approx(40.0, rel=0.1)


async def test_what_was_spent_counts_against_the_caps(planned: Planned, settled: Any) -> None:
    """Tasks of earlier runs count; what was bought without a price makes a budget impossible."""
    await settled("done", "running", "unknown")
    assert planned([row("a"), row("b")], max_jobs=4).affordable == 1
    collects = planned([row("a")], budget=Decimal(50))
    assert "3 attempts bought before without a known price" in (collects.objection or "")
    assert (collects.only_collects, collects.refused, collects.affordable) == (True, False, 0)


# -- folders that a run would refuse


def test_a_folder_is_refused_when_a_run_could_not_use_it(planned: Planned, tmp_path: Path) -> None:
    """A file in its place, results that have lost their ledger, and a ledger that is none."""
    (tmp_path / "out").touch()
    with pytest.raises(FolderError, match="cannot be used: it is no directory"):
        planned([row("a")])
    (tmp_path / "out").unlink()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.jsonl").write_text("{}\n")
    with pytest.raises(LedgerError, match=r"tells of an earlier batch whose ledger\.sqlite3 is gone"):
        planned([row("a")])
    (tmp_path / "out" / "ledger.sqlite3").write_text("junk" * 1000)
    with pytest.raises(LedgerError, match="is damaged or is no ledger"):
        planned([row("a")])
