"""A manifest that was enrolled whole is known again, unless anything speaks against leaving its rows unread."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.core.jobs import Failure, Job, JobState, LocalFile, MediaForm, Source, Stage
from pipeline.ledger import Ledger, LedgerReader, Reading, transitions
from pipeline.ledger.enrolment import OnChanged, enroll, last_reading

MakeJob = Callable[..., Job]
BringTo = Callable[..., None]
THIS, OTHER = Reading("this", ("a warning about \udcff",)), Reading("other")
PICTURE = LocalFile("input.image_url", "/pictures/a.png", "00" * 32, 3, "image/png", MediaForm.DATA_URI)
IN_FLIGHT = [JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING]


async def test_reading_is_known_when_its_rows_were_enrolled(ledger: Ledger, make_job: MakeJob, tmp_path: Path) -> None:
    """Whoever opens the ledger later is told, its warnings too."""
    assert await ledger.last_reading() is None
    await ledger.enroll([make_job("a"), make_job("b")], "error", 2.0, THIS)
    assert await ledger.last_reading() == THIS
    with LedgerReader(tmp_path) as reader:
        assert reader.last_reading() == THIS


@pytest.mark.parametrize("reading", [None, Reading(None), OTHER])
def test_only_the_last_reading_is_known_when_another_manifest_follows(
    reading: Reading | None, connection: sqlite3.Connection, make_job: MakeJob
) -> None:
    """Another manifest may have changed the same jobs; one that cannot be known again makes us forget."""
    enroll(connection, [make_job()], "error", 2.0, THIS)
    enroll(connection, [make_job(metadata={"take": 2})], "error", 3.0, reading)
    assert last_reading(connection) == (OTHER if reading is OTHER else None)


def test_reading_is_not_known_when_a_row_names_a_local_file(connection: sqlite3.Connection, make_job: MakeJob) -> None:
    """Nobody knows whether its bytes are the same but who reads them."""
    enroll(connection, [make_job("a"), make_job("b", files=(PICTURE,)), make_job("c")], "error", 2.0, THIS)
    assert last_reading(connection) is None


@pytest.mark.parametrize("on_changed", ["keep", "rerun"])
def test_reading_is_not_known_when_a_row_had_changed(
    on_changed: OnChanged, connection: sqlite3.Connection, make_job: MakeJob
) -> None:
    """A job that was kept is still to be refused by the next run that does not keep it."""
    enroll(connection, [make_job()], "error", 2.0, THIS)
    enroll(connection, [make_job(digest="other")], on_changed, 3.0, OTHER)
    assert last_reading(connection) is None


@pytest.mark.parametrize("state", JobState)
def test_reading_is_not_known_when_a_job_is_still_to_take_its_row_over(
    state: JobState, connection: sqlite3.Connection, make_job: MakeJob, bring_to: BringTo
) -> None:
    """A job under way keeps what it was enrolled with until it may be described anew, by a later reading."""
    bring_to(connection, state)
    enroll(connection, [make_job(source=Source("moved.csv", 1))], "error", 2.0, THIS)
    assert last_reading(connection) == (None if state in IN_FLIGHT else THIS)


@pytest.mark.parametrize("state", JobState)
def test_reading_is_known_when_the_jobs_are_as_their_rows_say(
    state: JobState, connection: sqlite3.Connection, make_job: MakeJob, bring_to: BringTo
) -> None:
    """In whatever state they are."""
    bring_to(connection, state)
    enroll(connection, [make_job()], "error", 2.0, THIS)
    assert last_reading(connection) == THIS


def test_reading_is_not_known_when_a_failed_download_keeps_its_output(
    connection: sqlite3.Connection, make_job: MakeJob, bring_to: BringTo
) -> None:
    """Its new output is taken once another attempt is bought."""
    bring_to(connection, JobState.FETCHING)
    transitions.download_failed(connection, "r", "wave-01", Failure(Stage.DOWNLOAD, "gone", "no"), 5.0, final=True)
    enroll(connection, [make_job(output="elsewhere.mp4")], "error", 6.0, THIS)
    assert last_reading(connection) is None


def test_earlier_reading_stays_known_when_an_enrolment_is_undone(
    connection: sqlite3.Connection, make_job: MakeJob
) -> None:
    """What is refused leaves the ledger as it was."""
    enroll(connection, [make_job("a")], "error", 2.0, THIS)
    enroll(connection, [make_job("b"), make_job("a", digest="other")], "error", 3.0, OTHER)
    assert last_reading(connection) == THIS
    with pytest.raises(UsageError, match="would write"):
        enroll(connection, [make_job("b", output="a.mp4")], "error", 4.0, OTHER)
    with pytest.raises(OSError, match="gone"):
        enroll(connection, _broken(make_job("b")), "error", 5.0, OTHER)
    assert last_reading(connection) == THIS


def _broken(job: Job) -> Iterator[Job]:
    yield job
    raise OSError("gone")


def test_new_and_known_rows_are_told_apart_when_they_alternate(
    connection: sqlite3.Connection, make_job: MakeJob
) -> None:
    """What a row was taken for at first does not decide what it is; one that occurs twice is known the second time."""
    enroll(connection, [make_job(f"j{n}") for n in (1, 3, 4, 7)], "error", 1.0)
    again = [make_job(f"j{n}") for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 8)]
    found = enroll(connection, again, "error", 2.0)
    assert (found.new, found.known) == (5, 5)
    changed = [replace(job, digest="other") if job.job_id in {"j2", "j8"} else job for job in again[:9]]
    found = enroll(connection, [make_job("j9"), *changed, make_job("j10")], "keep", 3.0)
    assert (found.new, found.known, found.changed_total) == (2, 7, 2)
