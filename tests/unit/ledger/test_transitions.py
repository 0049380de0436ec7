"""Each transition leaves the states that it may leave, and no other."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.core.errors import UsageError
from pipeline.core.jobs import Failure, JobState, Outcome, Source, Stage, StoredFile, Task, TaskReport, TaskState
from pipeline.ledger import LedgerConflictError, overview, queries, transitions

RUN = "run-1"
TASK = Task("a1b2", "https://api.example.com", "request-1")
REPORT = TaskReport(TaskState.SUCCEEDED, "Success", ("https://cdn.example.com/v.mp4",), usage={"duration": 5.25})
STORED = StoredFile("videos/wave-01.mp4", 7, "ab" * 32, "https://cdn.example.com/v.mp4")
FAILURE = Failure(Stage.GENERATE, "moderation", "refused", 400)
JOB = "wave-01"

BringTo = Callable[..., None]
Q, S, R, F, D, X, U = (
    JobState.QUEUED,
    JobState.SUBMITTING,
    JobState.RUNNING,
    JobState.FETCHING,
    JobState.DONE,
    JobState.FAILED,
    JobState.UNKNOWN,
)


def _intent(connection: sqlite3.Connection) -> int:
    return transitions.intent(
        connection, JOB, base_url="https://api.example.com", body_digest="d", at=5.0, owner="local", epoch=0
    )


TABLE: dict[str, tuple[set[JobState], JobState, Callable[[sqlite3.Connection], object]]] = {
    "intent": ({Q}, S, _intent),
    "withdraw": ({S}, Q, lambda c: transitions.withdraw(c, JOB, 5.0)),
    "accepted": ({S, U}, R, lambda c: transitions.accepted(c, JOB, TASK, 5.0)),
    "refused": ({S, Q}, X, lambda c: transitions.refused(c, RUN, JOB, FAILURE, 5.0)),
    "lost": ({S}, U, lambda c: transitions.lost(c, RUN, JOB, FAILURE, 5.0)),
    "finished": ({R}, F, lambda c: transitions.finished(c, JOB, REPORT, 5.0)),
    "task_failed": ({R}, X, lambda c: transitions.task_failed(c, RUN, JOB, REPORT, FAILURE, 5.0)),
    "vanished": ({R}, U, lambda c: transitions.vanished(c, RUN, JOB, FAILURE, 5.0)),
    "refreshed": ({F}, F, lambda c: transitions.refreshed(c, JOB, REPORT, 5.0)),
    "downloaded": ({F}, D, lambda c: transitions.downloaded(c, RUN, JOB, (STORED,), 5.0)),
    "fetch_again": ({D}, F, lambda c: transitions.fetch_again(c, JOB, 5.0)),
    "download_failed": ({F}, X, lambda c: transitions.download_failed(c, RUN, JOB, FAILURE, 5.0, final=True)),
    "resolve_task": ({U}, R, lambda c: transitions.resolve_task(c, JOB, TASK, 5.0)),
    "resolve_resubmit": ({U}, Q, lambda c: transitions.resolve_resubmit(c, JOB, 5.0)),
    "resolve_write_off": ({U}, X, lambda c: transitions.resolve_write_off(c, RUN, JOB, 5.0, "gave up")),
}
ENDING = {"refused", "lost", "task_failed", "vanished", "downloaded", "download_failed", "resolve_write_off"}
RIGHT = [(name, state) for name, (allowed, _, _) in TABLE.items() for state in JobState if state in allowed]
WRONG = [(name, state) for name, (allowed, _, _) in TABLE.items() for state in JobState if state not in allowed]


def lines(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM results").fetchone()[0])


@pytest.mark.parametrize(("name", "state"), RIGHT)
def test_job_moves_when_transition_fits_its_state(
    name: str, state: JobState, connection: sqlite3.Connection, bring_to: BringTo
) -> None:
    """A transition leads to its own target, and writes one results line if that is an end."""
    bring_to(connection, state)
    before = lines(connection)
    _, target, act = TABLE[name]
    act(connection)
    record = queries.record(connection, JOB)
    assert record is not None
    assert record.state is target
    assert (record.outcome is not None) == target.ended
    assert lines(connection) - before == (name in ENDING)


def _fetch_in_vain(connection: sqlite3.Connection) -> None:
    transitions.fetch_again(connection, JOB, 5.0)
    transitions.download_failed(connection, RUN, JOB, FAILURE, 6.0, final=True)


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_is_done_again_when_its_videos_on_record_are_found(
    connection: sqlite3.Connection, bring_to: BringTo, fails: bool
) -> None:
    """A fetch that was in vain leaves the record of the videos; the newest line of the job tells of them again."""
    bring_to(connection, D)
    (told,) = queries.latest(connection)
    done = queries.record(connection, JOB)
    if fails:
        _fetch_in_vain(connection)
        failed = queries.record(connection, JOB)
        assert failed is not None
        assert failed.outcome == Outcome(X, (), FAILURE)
    else:
        transitions.fetch_again(connection, JOB, 5.0)
    ((_, _, files),) = queries.stored(connection)
    transitions.found_whole(connection, JOB, 7.0)
    assert queries.record(connection, JOB) == done
    assert done is not None
    assert done.outcome == Outcome(D, files)
    assert list(queries.latest(connection)) == [told]
    assert lines(connection) == (3 if fails else 1)


@pytest.mark.parametrize("state", [F, X])
def test_a_job_is_not_done_when_no_videos_of_it_are_on_record(
    connection: sqlite3.Connection, bring_to: BringTo, state: JobState
) -> None:
    """Only what was whole once can be found to be whole."""
    bring_to(connection, state)
    with pytest.raises(LedgerConflictError, match=f"is {state} and cannot be found whole"):
        transitions.found_whole(connection, JOB, 5.0)


def test_the_videos_of_an_attempt_are_forgotten_when_another_is_bought(
    connection: sqlite3.Connection, bring_to: BringTo
) -> None:
    """What an earlier attempt brought says nothing about the next one."""
    bring_to(connection, D)
    _fetch_in_vain(connection)
    transitions.retry_failed(connection, None, 8.0)
    assert list(queries.stored(connection)) == []


def test_a_task_is_refused_when_it_belongs_to_another_job(connection: sqlite3.Connection, bring_to: BringTo) -> None:
    """One task makes one job's videos: an id that is known already cannot settle another job's doubt."""
    bring_to(connection, D, "other")
    bring_to(connection, U)
    with pytest.raises(UsageError, match="belongs to job other"):
        transitions.resolve_task(connection, JOB, Task("a1b2", "https://api.example.com"), 5.0)
    transitions.resolve_task(connection, JOB, Task("new", "https://api.example.com"), 6.0)


def test_a_task_that_somebody_named_can_be_named_anew_until_a_run_begins(
    connection: sqlite3.Connection, bring_to: BringTo
) -> None:
    """Only a run asks the service; from then on its answer decides, and not another word."""
    bring_to(connection, U)
    for at, name in ((5.0, "wrong"), (6.0, "right")):
        transitions.resolve_task(connection, JOB, Task(name, "https://api.example.com"), at)
    connection.execute("INSERT INTO runs (run_id, started_at) VALUES ('later', 7.0)")
    with pytest.raises(LedgerConflictError, match="is running and cannot be given a task"):
        transitions.resolve_task(connection, JOB, Task("late", "https://api.example.com"), 8.0)
    record = queries.record(connection, JOB)
    assert record is not None
    assert record.task == Task("right", "https://api.example.com")


@pytest.mark.parametrize(("name", "state"), WRONG)
def test_nothing_is_written_when_transition_does_not_fit_the_state(
    name: str, state: JobState, connection: sqlite3.Connection, bring_to: BringTo
) -> None:
    """A transition from another state is a conflict and leaves every byte as it was."""
    bring_to(connection, state)
    before = list(connection.iterdump())
    with pytest.raises(LedgerConflictError, match=f"job wave-01 is {state}"):
        TABLE[name][2](connection)
    assert list(connection.iterdump()) == before


@pytest.mark.parametrize("name", TABLE)
def test_conflict_is_raised_when_job_is_not_in_the_ledger(name: str, connection: sqlite3.Connection) -> None:
    """A job that was never enrolled cannot move."""
    with pytest.raises(LedgerConflictError, match="not in the ledger"):
        TABLE[name][2](connection)


def test_attempts_are_counted_when_intents_are_withdrawn_and_repeated(
    connection: sqlite3.Connection, bring_to: BringTo
) -> None:
    """An intent counts an attempt, a withdrawal takes it back, a second try counts on."""
    bring_to(connection, Q)
    assert _intent(connection) == 1
    transitions.withdraw(connection, JOB, 6.0)
    record = queries.record(connection, JOB)
    assert record is not None
    assert (record.attempt, record.submitted_at) == (0, None)
    assert _intent(connection) == 1
    transitions.refused(connection, RUN, JOB, FAILURE, 7.0)
    assert transitions.retry_failed(connection, None, 8.0) == 1
    assert _intent(connection) == 2


@pytest.mark.parametrize(("state", "facts"), [(Q, (0, None)), (S, (1, 5.0))])
def test_submit_time_is_recorded_when_the_service_was_asked(
    state: JobState, facts: tuple[int, float | None], connection: sqlite3.Connection, bring_to: BringTo
) -> None:
    """A job that this machine refuses before the intent was never submitted and counts no attempt."""
    bring_to(connection, state)
    transitions.refused(connection, RUN, JOB, FAILURE, 5.0)
    record = queries.record(connection, JOB)
    assert record is not None
    assert (record.attempt, record.submitted_at) == facts


def test_task_id_is_kept_when_answer_comes_after_the_job_was_called_unknown(
    connection: sqlite3.Connection, bring_to: BringTo
) -> None:
    """A task id is a fact: it ends the doubt, and the line about the doubt stays history."""
    bring_to(connection, U)
    transitions.accepted(connection, JOB, TASK, 200.0)
    record = queries.record(connection, JOB)
    assert record is not None
    assert (record.state, record.task, record.outcome, record.submitted_at) == (R, TASK, None, 200.0)
    assert lines(connection) == 1


def test_late_answer_is_refused_when_job_already_has_a_task(connection: sqlite3.Connection, bring_to: BringTo) -> None:
    """An answer cannot replace the task of a job whose task vanished: that decision is a person's."""
    bring_to(connection, R)
    transitions.vanished(connection, RUN, JOB, FAILURE, 5.0)
    with pytest.raises(LedgerConflictError):
        transitions.accepted(connection, JOB, Task("other", TASK.base_url), 6.0)
    record = queries.record(connection, JOB)
    assert record is not None
    assert record.task == TASK


def test_record_tells_everything_when_job_is_done(connection: sqlite3.Connection, bring_to: BringTo) -> None:
    """What the engine needs to go on without the manifest comes back as it went in."""
    bring_to(connection, F)
    transitions.refreshed(connection, JOB, REPORT, 5.0)
    second = replace(STORED, path="videos/wave-01-2.mp4")
    transitions.downloaded(connection, RUN, JOB, (STORED, second), 6.0)
    record = queries.record(connection, JOB)
    assert record is not None
    assert record.job.source == Source("shots.csv", 12)
    assert record.task == TASK
    assert record.report == REPORT
    assert record.outcome == Outcome(D, (STORED, second))
    assert record.submitted_at == 101.0


def test_submitting_becomes_unknown_when_a_run_recovers(connection: sqlite3.Connection, bring_to: BringTo) -> None:
    """A job between intent and answer may have been paid for: it waits for a decision and says since when."""
    bring_to(connection, S)
    assert transitions.recover(connection, RUN, 300.0) == transitions.Recovery(unknown=1, fetching=0)
    record = queries.record(connection, JOB)
    assert record is not None
    assert record.outcome is not None
    assert record.outcome.failure is not None
    assert (record.state, record.outcome.failure.stage, record.outcome.failure.code) == (U, Stage.SUBMIT, "interrupted")
    assert "1970-01-01T00:01:40.000Z" in record.outcome.failure.message
    assert lines(connection) == 1
    assert transitions.recover(connection, RUN, 301.0) == transitions.Recovery(0, 0)


@pytest.mark.parametrize("final", [False, True])
def test_failed_download_is_tried_again_for_nothing_when_it_was_not_final(
    final: bool, connection: sqlite3.Connection, bring_to: BringTo
) -> None:
    """The next run fetches what is already paid for, unless the download was given up; only that is bought anew."""
    bring_to(connection, F)
    transitions.download_failed(connection, RUN, JOB, replace(FAILURE, stage=Stage.DOWNLOAD), 5.0, final=final)
    assert transitions.retry_failed(connection, None, 6.0) == (1 if final else 0)
    assert transitions.recover(connection, RUN, 7.0) == transitions.Recovery(0, 0 if final else 1)
    record = queries.record(connection, JOB)
    assert record is not None
    assert record.state is (Q if final else F)
    assert (record.report is None) == final
    assert record.outcome is None


def test_only_matching_jobs_are_queued_again_when_a_pattern_is_given(
    connection: sqlite3.Connection, bring_to: Callable[..., None]
) -> None:
    """Second tries follow the shell pattern, case and negated sets included."""
    for job_id in ("a1", "a2", "A3", "b1"):
        bring_to(connection, X, job_id)
    assert transitions.retry_failed(connection, "a[!2]", 5.0) == 1
    assert transitions.retry_failed(connection, "[!b]*", 5.0) == 2
    assert transitions.resubmit_unknown(connection, None, 5.0) == 0
    assert overview.counts(connection)[Q] == 3


def test_lone_surrogates_survive_when_a_failure_message_holds_them(
    connection: sqlite3.Connection, bring_to: BringTo
) -> None:
    """Text that SQLite cannot hold ends a job all the same."""
    bring_to(connection, S)
    transitions.refused(connection, RUN, JOB, replace(FAILURE, message="name \udcff"), 5.0)
    record = queries.record(connection, JOB)
    assert record is not None
    assert record.outcome is not None
    assert record.outcome.failure is not None
    assert record.outcome.failure.message == "name \ufffd"


def test_write_off_keeps_the_stage_when_the_task_had_vanished(
    connection: sqlite3.Connection, bring_to: BringTo
) -> None:
    """A written-off job says what was given up: here, a generation."""
    bring_to(connection, R)
    transitions.vanished(connection, RUN, JOB, FAILURE, 5.0)
    transitions.resolve_write_off(connection, RUN, JOB, 6.0, "nobody found it")
    record = queries.record(connection, JOB)
    assert record is not None
    assert record.outcome == Outcome(X, failure=Failure(Stage.GENERATE, "written_off", "nobody found it"))
    assert record.task == TASK
