"""All rows of a manifest enter the ledger in one transaction, or none; what was bought is never silently changed."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from pipeline.core.errors import ManifestError, Problem, UsageError
from pipeline.core.jobs import Failure, Job, JobState, Record, Source, Stage
from pipeline.ledger import ChangedJob, Enrolment, Ledger, queries, transitions
from pipeline.ledger.enrolment import OnChanged, enroll

MakeJob = Callable[..., Job]
BringTo = Callable[..., None]
IN_FLIGHT = [JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING]
REST = [state for state in JobState if state not in IN_FLIGHT]


def known(connection: sqlite3.Connection, job_id: str = "wave-01") -> Record:
    record = queries.record(connection, job_id)
    assert record is not None
    return record


def test_new_and_known_rows_are_counted_when_a_manifest_grows(
    connection: sqlite3.Connection, make_job: MakeJob
) -> None:
    """Enrolling again adds what is new, in order, and leaves the rest; rows that left the manifest stay."""
    assert enroll(connection, [make_job("a"), make_job("b")], "error", 1.0) == Enrolment(2, 0)
    assert enroll(connection, [make_job("c"), make_job("b")], "error", 2.0) == Enrolment(1, 1)
    assert [record.job.job_id for _, record in queries.queued(connection, None, 0, 10)] == ["a", "b", "c"]
    assert known(connection, "c").job == make_job("c")


@pytest.mark.parametrize("state", JobState)
def test_nothing_is_enrolled_when_a_row_changed_and_nobody_decided(
    state: JobState, connection: sqlite3.Connection, make_job: MakeJob, bring_to: BringTo
) -> None:
    """By default a changed row stops everything, and the answer names it, its place and its state."""
    bring_to(connection, state)
    before = list(connection.iterdump())
    changed = make_job(digest="other", source=Source("shots.csv", 3), parameters={"resolution": "480P"})
    enrolment = enroll(connection, [make_job("new"), changed], "error", 2.0)
    named = ChangedJob("wave-01", Source("shots.csv", 3), state, Source("shots.csv", 12), ("parameters.resolution",))
    assert enrolment == Enrolment(0, 0, (named,), 1)
    assert list(connection.iterdump()) == before


@pytest.mark.parametrize("state", JobState)
def test_old_row_stays_when_changed_rows_are_kept(
    state: JobState, connection: sqlite3.Connection, make_job: MakeJob, bring_to: BringTo
) -> None:
    """`keep` enrolls what is new and leaves a changed job as it was."""
    bring_to(connection, state)
    before = known(connection)
    enrolment = enroll(connection, [make_job("new"), make_job(digest="other")], "keep", 2.0)
    assert (enrolment.new, enrolment.known, enrolment.changed_total) == (1, 0, 1)
    assert known(connection) == before


@pytest.mark.parametrize("state", REST)
def test_job_is_queued_with_the_new_row_when_changed_rows_are_run_again(
    state: JobState, connection: sqlite3.Connection, make_job: MakeJob, bring_to: BringTo
) -> None:
    """`rerun` puts the new row in the place of one that is queued or has ended; attempts are counted on."""
    bring_to(connection, state)
    attempt = known(connection).attempt
    changed = make_job(digest="other", parameters={"resolution": "480P"})
    enroll(connection, [changed], "rerun", 2.0)
    assert known(connection) == Record(changed, JobState.QUEUED, attempt)


@pytest.mark.parametrize("state", IN_FLIGHT)
def test_job_in_flight_is_left_alone_when_changed_rows_are_run_again(
    state: JobState, connection: sqlite3.Connection, make_job: MakeJob, bring_to: BringTo
) -> None:
    """A task that is paid for is collected as it was ordered; the answer names the job."""
    bring_to(connection, state)
    before = known(connection)
    enrolment = enroll(connection, [make_job(digest="other")], "rerun", 2.0)
    assert known(connection) == before
    here = Source("shots.csv", 12)
    assert enrolment.changed == (ChangedJob("wave-01", here, state, here, ("the bytes of a local file",)),)
    assert (enrolment.left, enrolment.left_total) == (("wave-01",), 1)


@pytest.mark.parametrize("state", JobState)
def test_description_is_renewed_when_nothing_can_be_on_disk(
    state: JobState, connection: sqlite3.Connection, make_job: MakeJob, bring_to: BringTo
) -> None:
    """Another output, metadata or source is no change; it is taken unless a video may be under its old name."""
    bring_to(connection, state)
    described = make_job(output="elsewhere.mp4", metadata={"take": 2}, source=Source("moved.csv", 1))
    assert enroll(connection, [described], "error", 2.0) == Enrolment(0, 1)
    renewed = state in {JobState.QUEUED, JobState.UNKNOWN, JobState.FAILED}
    assert known(connection).job == (described if renewed else make_job())


def test_output_stays_when_the_download_had_begun(
    connection: sqlite3.Connection, make_job: MakeJob, bring_to: BringTo
) -> None:
    """A job that failed at its download keeps its output: parts of it may be on disk."""
    bring_to(connection, JobState.FETCHING)
    transitions.download_failed(connection, "r", "wave-01", Failure(Stage.DOWNLOAD, "stall", "no"), 5.0, final=False)
    enroll(connection, [make_job(output="elsewhere.mp4")], "error", 6.0)
    assert known(connection).job == make_job()


def test_collision_is_refused_when_a_new_row_takes_a_known_output(
    connection: sqlite3.Connection, make_job: MakeJob, bring_to: BringTo
) -> None:
    """Two jobs never write the same video; the error names both and says what to do."""
    bring_to(connection, JobState.DONE)
    before = list(connection.iterdump())
    with pytest.raises(UsageError) as caught:
        enroll(
            connection, [make_job("a"), make_job("b", output="wave-01.mp4", source=Source("n.csv", 4))], "error", 2.0
        )
    assert str(caught.value).startswith("job b (n.csv:4) would write wave-01.mp4, which belongs to job wave-01 (shots.")
    assert list(connection.iterdump()) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("sea/Wave.mp4", "sea/wave.mp4"), ("caf\u00e9.mp4", "cafe\u0301.mp4"), ("STRASSE.mp4", "straße.mp4")],
)
def test_a_new_output_is_refused_when_it_is_an_old_one_in_another_case(
    old: str, new: str, connection: sqlite3.Connection, make_job: MakeJob
) -> None:
    """On some disks the new video would take the place of one that is paid for."""
    enroll(connection, [make_job("a", output=old), make_job("b")], "error", 1.0)
    before = list(connection.iterdump())
    for _ in range(2):
        with pytest.raises(UsageError) as caught:
            enroll(connection, [make_job("c"), make_job("n", output=new, source=Source("n.csv", 4))], "error", 2.0)
        assert str(caught.value).startswith(f"job n (n.csv:4) would write {new}, which is the output {old} of job a (")
        assert list(connection.iterdump()) == before
    assert enroll(connection, [make_job("c"), make_job("b")], "error", 2.0) == Enrolment(1, 1)


def test_outputs_may_be_swapped_when_both_jobs_are_queued(connection: sqlite3.Connection, make_job: MakeJob) -> None:
    """Only the outcome of the whole enrolment is judged."""
    enroll(connection, [make_job("a"), make_job("b")], "error", 1.0)
    enroll(connection, [make_job("a", output="b.mp4"), make_job("b", output="a.mp4")], "error", 2.0)
    assert known(connection, "a").job.output == "b.mp4"


@pytest.mark.parametrize(("rows", "named"), [(20, 20), (21, 20)])
def test_changed_rows_are_named_up_to_a_limit_when_there_are_many(
    rows: int, named: int, connection: sqlite3.Connection, make_job: MakeJob
) -> None:
    """The first twenty changed rows are named, all are counted."""
    enroll(connection, [make_job(f"j{n}") for n in range(rows)], "error", 1.0)
    enrolment = enroll(connection, [make_job(f"j{n}", digest="other") for n in range(rows)], "error", 2.0)
    assert (len(enrolment.changed), enrolment.changed_total) == (named, rows)


@pytest.mark.parametrize("error", [ManifestError([Problem("m", 1, None, None, "no")]), OSError("gone"), ValueError()])
async def test_nothing_is_enrolled_when_reading_the_manifest_fails(
    error: Exception, ledger: Ledger, make_job: MakeJob
) -> None:
    """An error of the iteration reaches the caller, takes every row back, and leaves the ledger in order."""

    def rows() -> Iterator[Job]:
        yield make_job("a")
        yield make_job("b")
        raise error

    counted = ledger.counts()
    enrolling = ledger.enroll(rows(), "error", 2.0)
    with pytest.raises(type(error)):
        await enrolling
    assert sum((await counted).values()) == 0
    assert (await ledger.enroll([make_job("a")], "error", 3.0)).new == 1
    assert (await ledger.counts())[JobState.QUEUED] == 1


@pytest.mark.parametrize("on_changed", ["error", "keep", "rerun"])
async def test_rows_are_never_held_together_when_a_manifest_is_long(
    on_changed: OnChanged, ledger: Ledger, make_job: MakeJob
) -> None:
    """Rows go into the ledger one by one as they are read, whatever is to happen to changed ones."""
    alive = 0

    class Counted(dict[str, int]):
        def __init__(self) -> None:
            super().__init__(shot=1)
            nonlocal alive
            alive += 1

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    most = 0

    def rows() -> Iterator[Job]:
        nonlocal most
        template = make_job()
        for n in range(2000):
            yield replace(template, job_id=f"j{n}", output=f"{n}.mp4", metadata=Counted())
            most = max(most, alive)

    assert (await ledger.enroll(rows(), on_changed, 2.0)).new == 2000
    assert most <= 3


async def test_other_transitions_wait_when_an_enrolment_is_under_way(ledger: Ledger, make_job: MakeJob) -> None:
    """What is asked for after an enrolment sees all of its rows."""
    enrolling = ledger.enroll((make_job(f"j{n}") for n in range(500)), "error", 2.0)
    counts, enrolment = await asyncio.gather(ledger.counts(), enrolling)
    assert counts[JobState.QUEUED] == enrolment.new == 500
