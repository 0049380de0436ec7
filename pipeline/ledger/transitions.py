"""What may happen to a job: one plain function for each transition.

Each one runs inside the transaction of its group, checks the state that the job leaves, and finds that out before it
writes, so that a conflict leaves nothing behind. A transition that ends a job writes its results line as well.
What one step of an attempt has written the next one takes from the connection's memory, and from the file where it is
not there. Times are Unix seconds; `run_id` is the run that the results line names.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pipeline.core.clock import iso
from pipeline.core.errors import UsageError
from pipeline.core.jobs import Failure, JobState, Stage, StoredFile, Task, TaskReport
from pipeline.core.money import Actual, Quote
from pipeline.core.selecting import in_sqlite
from pipeline.core.values import Value
from pipeline.ledger import purchases
from pipeline.ledger.codec import failure_of, to_json, well_formed
from pipeline.ledger.connection import Attempt, LedgerConnection
from pipeline.ledger.results import SUCCEEDED, Ending, build_line


class LedgerConflictError(RuntimeError):
    """A transition was asked for that the job's state does not allow: a bug, never an answer to a user."""


class Recovery(Value):
    """What an earlier run left behind."""

    unknown: int
    """Jobs that were caught between intent and answer."""
    fetching: int
    """Failed downloads that are tried again without paying."""


# -- runs -----------------------------------------------------------------------------------------------------------

_BEGIN_RUN = """
    INSERT INTO runs (run_id, started_at) VALUES (?, ?) ON CONFLICT (run_id) DO UPDATE SET ended_at = NULL
"""
_END_RUN = "UPDATE runs SET ended_at = ? WHERE run_id = ?"


def begin_run(connection: LedgerConnection, run_id: str, at: float) -> None:
    """A run opened the ledger."""
    connection.execute(_BEGIN_RUN, (run_id, at))


def end_run(connection: LedgerConnection, run_id: str, at: float) -> None:
    """The run is over in good order."""
    connection.execute(_END_RUN, (at, run_id))


_REMEMBER = "INSERT INTO memory (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


def remember(connection: LedgerConnection, key: str, text: str) -> None:
    """Keep a text for later runs; it takes the place of what the key held."""
    connection.execute(_REMEMBER, (key, text))


def forget(connection: LedgerConnection, key: str) -> None:
    """Keep nothing under the key."""
    connection.execute("DELETE FROM memory WHERE key = ?", (key,))


# -- submitting -----------------------------------------------------------------------------------------------------

_INTENT = """
    UPDATE jobs SET state = 'submitting', attempt = ?, owner = ?, epoch = ?, intent_at = ?, submitted_at = ?,
        body_digest = ?, base_url = ?, external_id = ?, moved_at = ?
    WHERE seq = ? AND attempt = ? AND state = 'queued'
"""
_WITHDRAW = """
    UPDATE jobs SET state = 'queued', attempt = attempt - 1, owner = NULL, epoch = 0, intent_at = NULL,
        submitted_at = NULL, body_digest = NULL, base_url = NULL, moved_at = ?
    WHERE seq = ? AND state = 'submitting'
"""
_ACCEPTED = """
    UPDATE jobs SET state = 'running', task_id = ?, base_url = ?, request_id = ?, submitted_at = ?,
        failure_stage = NULL, failure_code = NULL, failure_message = NULL, failure_status = NULL, moved_at = ?
    WHERE seq = ? AND (state = 'submitting' OR (state = 'unknown' AND task_id IS NULL))
"""


def intent(
    connection: LedgerConnection,
    job_id: str,
    base_url: str,
    body_digest: str,
    at: float,
    owner: str,
    epoch: int,
    external_id: str | None = None,
    quote: Quote | None = None,
) -> int:
    """queued → submitting: the paid request is about to leave. Returns the number of the attempt.

    What it may cost is on record with it; without a quote, as an unknown price.
    """
    attempt = _waiting(connection, job_id)
    number = attempt.number + 1
    left = (attempt.seq, attempt.number)
    facts = (number, owner, epoch, at, at, body_digest, base_url, external_id, at, *left)
    _move(connection, _INTENT, facts, job_id, "begun")
    attempt.number, attempt.state, attempt.submitted_at = number, "submitting", at
    attempt.purchase = purchases.buy(connection, attempt.seq, number, quote)
    return number


def withdraw(connection: LedgerConnection, job_id: str, at: float, *, doubted: bool = False) -> None:
    """submitting → queued: surely nothing was created, so the attempt is not counted, and costs nothing.

    Where the submit was in doubt (`doubted`), its price stays held back until the next try of the attempt.
    """
    attempt = _leaving(connection, job_id, JobState.SUBMITTING)
    _move(connection, _WITHDRAW, (at, attempt.seq), job_id, "withdrawn")
    connection.forget(job_id)
    purchases.take_back(connection, attempt.seq, attempt.number, doubted=doubted)


def accepted(connection: LedgerConnection, job_id: str, task: Task, at: float) -> None:
    """submitting → running. A task id is a fact: it also ends the doubt of a job whose answer came late."""
    attempt = _leaving(connection, job_id, JobState.SUBMITTING, JobState.UNKNOWN)
    facts = (task.task_id, task.base_url, task.request_id, at, at, attempt.seq)
    _move(connection, _ACCEPTED, facts, job_id, "accepted")
    attempt.state, attempt.submitted_at = "running", at
    attempt.task_id, attempt.request_id = task.task_id, task.request_id


def refused(connection: LedgerConnection, run_id: str, job_id: str, failure: Failure, at: float) -> None:
    """submitting → failed: the service refused the request; queued → failed: this machine did. Nothing was created."""
    attempt = _leaving(connection, job_id, JobState.SUBMITTING, JobState.QUEUED)
    sent = attempt.state == JobState.SUBMITTING
    ended = _badly(JobState.FAILED, failure, attempt.report, at if sent else None)
    _end(connection, run_id, job_id, attempt, ended, at, bought=False)
    if sent:
        purchases.take_back(connection, attempt.seq, attempt.number)


def lost(connection: LedgerConnection, run_id: str, job_id: str, failure: Failure, at: float) -> None:
    """submitting → unknown: the answer was lost and a task may exist."""
    attempt = _leaving(connection, job_id, JobState.SUBMITTING)
    _end(connection, run_id, job_id, attempt, _badly_left(JobState.UNKNOWN, failure, attempt), at)


# -- the task -------------------------------------------------------------------------------------------------------

_UNTOLD = Actual()
_FINISHED = """
    UPDATE jobs SET state = 'fetching', report = ?, noticed_at = ?, moved_at = ? WHERE seq = ? AND state = 'running'
"""
_NOTICED = "UPDATE jobs SET noticed_at = ? WHERE seq = ?"


def finished(
    connection: LedgerConnection, job_id: str, report: TaskReport, at: float, actual: Actual = _UNTOLD
) -> None:
    """running → fetching: the task ended well, and came to what its usage says."""
    attempt, answer = _leaving(connection, job_id, JobState.RUNNING), to_json(report)
    _move(connection, _FINISHED, (answer, at, at, attempt.seq), job_id, "finished")
    purchases.settle(connection, attempt, actual)
    attempt.state, attempt.report = "fetching", answer


def task_failed(
    connection: LedgerConnection, run_id: str, job_id: str, report: TaskReport | None, failure: Failure, at: float
) -> None:
    """running → failed: the task ended badly."""
    attempt = _leaving(connection, job_id, JobState.RUNNING)
    answer = to_json(report) if report else None
    ended = _badly(JobState.FAILED, failure, answer, attempt.submitted_at)
    _end(connection, run_id, job_id, attempt, ended, at)
    connection.write(_NOTICED, (at, attempt.seq))
    purchases.close(connection, attempt)


def vanished(connection: LedgerConnection, run_id: str, job_id: str, failure: Failure, at: float) -> None:
    """running → unknown: the service no longer knows the task, whose id is kept."""
    attempt = _leaving(connection, job_id, JobState.RUNNING)
    _end(connection, run_id, job_id, attempt, _badly_left(JobState.UNKNOWN, failure, attempt), at)


# -- the videos -----------------------------------------------------------------------------------------------------

_REFRESHED = "UPDATE jobs SET report = ?, moved_at = ? WHERE seq = ? AND state = 'fetching'"


def refreshed(connection: LedgerConnection, job_id: str, report: TaskReport, at: float) -> None:
    """fetching, with the URLs of a newer answer."""
    attempt, answer = _leaving(connection, job_id, JobState.FETCHING), to_json(report)
    _move(connection, _REFRESHED, (answer, at, attempt.seq), job_id, "refreshed")
    attempt.report = answer


def downloaded(
    connection: LedgerConnection, run_id: str, job_id: str, files: tuple[StoredFile, ...], at: float
) -> None:
    """fetching → done: every video is on disk."""
    attempt = _leaving(connection, job_id, JobState.FETCHING)
    stored = to_json(files) if files else None
    ended = Ending(JobState.DONE, None, attempt.report, stored, attempt.submitted_at)
    _end(connection, run_id, job_id, attempt, ended, at)


def download_failed(
    connection: LedgerConnection, run_id: str, job_id: str, failure: Failure, at: float, *, final: bool
) -> None:
    """fetching → failed. Unless that is final, the next run's recovery tries the download again without paying."""
    attempt = _leaving(connection, job_id, JobState.FETCHING)
    ended = _badly_left(JobState.FAILED, failure, attempt)
    _end(connection, run_id, job_id, attempt, ended, at, download_again=not final)


_TAKEN = """
    SELECT 1 FROM jobs WHERE output = :output AND job_id != :job_id
    UNION ALL SELECT 1 FROM claims WHERE output = :output AND job_id != :job_id
"""
_CLAIM = "INSERT OR IGNORE INTO claims (output, job_id) VALUES (:output, :job_id)"


def claim(connection: LedgerConnection, job_id: str, output: str) -> bool:
    """Reserve an output for a job's further video; False where it belongs to another job."""
    names = {"job_id": job_id, "output": output}
    if connection.execute(_TAKEN, names).fetchone() is not None:
        return False
    connection.execute(_CLAIM, names)
    return True


_FETCH_AGAIN = "UPDATE jobs SET state = 'fetching', moved_at = ? WHERE seq = ? AND state = 'done'"


def fetch_again(connection: LedgerConnection, job_id: str, at: float) -> None:
    """done → fetching: a video is no longer what its record says."""
    attempt = _leaving(connection, job_id, JobState.DONE)
    _move(connection, _FETCH_AGAIN, (at, attempt.seq), job_id, "fetched again")


_FOUND_WHOLE = """
    UPDATE jobs SET state = 'done', failure_stage = NULL, failure_code = NULL, failure_message = NULL,
        failure_status = NULL, download_again = 0, moved_at = ?
    WHERE seq = ? AND state IN ('fetching', 'failed') AND files IS NOT NULL
"""
_TOLD = """
    SELECT line, json_extract(line, '$.status') AS status FROM results WHERE job_id = ? AND attempt = ?
    ORDER BY seq DESC
"""


def found_whole(connection: LedgerConnection, job_id: str, at: float) -> None:
    """fetching or failed → done: the videos on record are on the disk, as they were.

    Where a failure was told since, the line that told of the videos is told again.
    """
    attempt = _leaving(connection, job_id, JobState.FETCHING, JobState.FAILED)
    told = connection.execute(_TOLD, (job_id, attempt.number)).fetchall()
    _move(connection, _FOUND_WHOLE, (at, attempt.seq), job_id, "found whole")
    connection.forget(job_id)
    if told and told[0]["status"] != SUCCEEDED:
        for line in [row["line"] for row in told if row["status"] == SUCCEEDED][:1]:
            _tell(connection, job_id, attempt.number, line)


# -- recovery and second tries --------------------------------------------------------------------------------------

_DOWNLOAD_AGAIN = """
    UPDATE jobs SET state = 'fetching', download_again = 0, failure_stage = NULL, failure_code = NULL,
        failure_message = NULL, failure_status = NULL, moved_at = ?
    WHERE state = 'failed' AND download_again = 1
"""
_FAILED = "SELECT seq FROM jobs WHERE state = 'failed' AND download_again = 0 AND job_id GLOB ?"
_UNKNOWN = "SELECT seq FROM jobs WHERE state = 'unknown' AND job_id GLOB ?"
_TRACE_AGAIN = """
    UPDATE jobs SET state = 'submitting', failure_stage = NULL, failure_code = NULL, failure_message = NULL,
        failure_status = NULL, moved_at = ?
    WHERE state = 'unknown' AND external_id IS NOT NULL AND task_id IS NULL AND job_id GLOB ?
"""
_REQUEUE = """
    UPDATE jobs SET state = 'queued', owner = NULL, epoch = 0, intent_at = NULL, submitted_at = NULL,
        body_digest = NULL, base_url = NULL, external_id = NULL, task_id = NULL, request_id = NULL, report = NULL,
        files = NULL, noticed_at = NULL,
        failure_stage = NULL, failure_code = NULL, failure_message = NULL, failure_status = NULL, download_again = 0,
        moved_at = ?
    WHERE seq = ?
"""


def recover(connection: LedgerConnection, run_id: str, at: float) -> Recovery:
    """submitting → unknown, and failed at a download that is not given up → fetching.

    A submit that can be looked up by our own id stays `submitting`: the crew asks for its task.
    """
    connection.forget_all()
    caught = 0
    while row := connection.execute(_CAUGHT).fetchone():
        job_id, intent_at, *facts = row
        attempt = _attempt_of(facts)
        ended = _badly_left(JobState.UNKNOWN, _interrupted(intent_at), attempt)
        _end(connection, run_id, job_id, attempt, ended, at)
        caught += 1
    return Recovery(caught, connection.execute(_DOWNLOAD_AGAIN, (at,)).rowcount)


def retry_failed(connection: LedgerConnection, select: str | None, at: float) -> int:
    """failed → queued for ids that match the shell pattern; returns how many.

    Downloads that the next run repeats for nothing are left to `recover`.
    """
    return requeue(connection, _seqs(connection, _FAILED, select), at)


def resubmit_unknown(connection: LedgerConnection, select: str | None, at: float) -> int:
    """unknown → queued for ids that match the shell pattern; returns how many. Some may then be paid twice.

    A submit that can be looked up by our own id is `submitting` again instead: the crew asks for its task first.
    """
    connection.execute(_TRACE_AGAIN, (at, in_sqlite(select)))
    return requeue(connection, _seqs(connection, _UNKNOWN, select), at)


def requeue(connection: LedgerConnection, seqs: Iterable[int], at: float) -> int:
    """Queue jobs again as if nothing but the attempts had happened, whatever their state; returns how many."""
    connection.forget_all()
    rows = [(at, seq) for seq in seqs]
    connection.executemany(_REQUEUE, rows)
    return len(rows)


def _seqs(connection: LedgerConnection, sql: str, select: str | None) -> list[int]:
    return [seq for (seq,) in connection.execute(sql, (in_sqlite(select),))]


def _interrupted(intent_at: float | None) -> Failure:
    return Failure(
        Stage.SUBMIT,
        "interrupted",
        f"the run ended between the submit's intent, written at {iso(intent_at)}, and its answer; "
        "a task may exist and may cost money",
    )


# -- a person's decision --------------------------------------------------------------------------------------------

_RESOLVE_TASK = """
    UPDATE jobs SET state = 'running', task_id = ?, base_url = ?, request_id = ?, report = NULL,
        failure_stage = NULL, failure_code = NULL, failure_message = NULL, failure_status = NULL, moved_at = ?
    WHERE seq = ? AND (
        state = 'unknown' OR (
            state = 'running' AND submitted_at IS NOT moved_at
            AND NOT EXISTS (SELECT 1 FROM runs WHERE started_at >= jobs.moved_at)
        )
    )
"""
"""The answer to a submit writes both times as one; a person's word leaves the time of the submit as it is."""


_OWNER = "SELECT job_id FROM jobs WHERE task_id = ? AND job_id != ?"


def resolve_task(connection: LedgerConnection, job_id: str, task: Task, at: float) -> None:
    """unknown → running: somebody found the task; once more, where that was the wrong one and no run has asked yet.

    Raises `UsageError` where it belongs to another job.
    """
    owner = connection.execute(_OWNER, (task.task_id, job_id)).fetchone()
    if owner is not None:
        raise UsageError(f"task {task.task_id} belongs to job {owner['job_id']}; a task makes the videos of one job")
    attempt = _leaving(connection, job_id, JobState.UNKNOWN, JobState.RUNNING)
    facts = (task.task_id, task.base_url, task.request_id, at, attempt.seq)
    _move(connection, _RESOLVE_TASK, facts, job_id, "given a task")


def resolve_resubmit(connection: LedgerConnection, job_id: str, at: float) -> None:
    """unknown → queued: somebody decided to buy another attempt."""
    requeue(connection, [_leaving(connection, job_id, JobState.UNKNOWN).seq], at)


def resolve_write_off(connection: LedgerConnection, run_id: str, job_id: str, at: float, message: str) -> None:
    """unknown → failed: somebody gave the attempt up. The stage stays that of the doubt."""
    attempt = _leaving(connection, job_id, JobState.UNKNOWN)
    doubt = failure_of(_row(connection, _DOUBT, job_id))
    failure = Failure(doubt.stage if doubt else Stage.SUBMIT, "written_off", message)
    _end(connection, run_id, job_id, attempt, _badly_left(JobState.FAILED, failure, attempt), at)
    purchases.close(connection, attempt)


# -- the common part ------------------------------------------------------------------------------------------------

_FACTS = """
    seq, jobs.attempt, state, spec, task_id, request_id, submitted_at, report,
    currency, expected, worst, actual, seconds, ended
"""
"""Of an `Attempt`, and of its purchase. A row of all columns takes twice the time of these."""
_WITH_COST = "FROM jobs LEFT JOIN purchases ON job = seq AND purchases.attempt = jobs.attempt"
_ATTEMPT = f"SELECT {_FACTS} {_WITH_COST} WHERE job_id = ?"
_CAUGHT = f"""
    SELECT job_id, intent_at, {_FACTS} {_WITH_COST}
    WHERE state = 'submitting' AND external_id IS NULL ORDER BY seq LIMIT 1
"""
_WAITING = "SELECT seq, attempt, state, spec FROM jobs WHERE job_id = ?"
_STATE = "SELECT state FROM jobs WHERE job_id = ?"
_DOUBT = "SELECT failure_stage, failure_code, failure_message, failure_status FROM jobs WHERE job_id = ?"
_END_BADLY = """
    UPDATE jobs SET state = ?, report = ?, failure_stage = ?, failure_code = ?, failure_message = ?,
        failure_status = ?, download_again = ?, submitted_at = ?, moved_at = ?
    WHERE seq = ? AND state = ?
"""
"""What videos a job has on record stays there: they may lie on the disk although they cannot be fetched again."""
_END_WELL = """
    UPDATE jobs SET state = 'done', files = ?, failure_stage = NULL, failure_code = NULL, failure_message = NULL,
        failure_status = NULL, download_again = 0, moved_at = ?
    WHERE seq = ? AND state = 'fetching'
"""
_LINE = "INSERT INTO results (job_id, attempt, line) VALUES (?, ?, ?)"


_UNDER_WAY = frozenset({"submitting", "running", "fetching"})


def _row(connection: LedgerConnection, sql: str, job_id: str) -> sqlite3.Row:
    """What the question finds of a job."""
    row: sqlite3.Row | None = connection.execute(sql, (job_id,)).fetchone()
    if row is None:
        raise LedgerConflictError(f"job {job_id} is not in the ledger")
    return row


def _leaving(connection: LedgerConnection, job_id: str, *states: JobState) -> Attempt:
    """The attempt of a job that is in one of `states`, for the caller to keep up to date."""
    attempt = connection.attempt(job_id)
    if attempt is None or attempt.state not in states:
        attempt = _attempt_of(_row(connection, _ATTEMPT, job_id))
        if attempt.state not in states:
            raise _conflict(job_id, attempt.state, *states)
        if attempt.state in _UNDER_WAY:
            connection.remember(job_id, attempt)
    return attempt


def _waiting(connection: LedgerConnection, job_id: str) -> Attempt:
    """A queued job with the attempts that it has had; its page of the queue was mostly read a moment ago."""
    attempt = connection.attempt(job_id)
    if attempt is None or attempt.state != JobState.QUEUED:
        attempt = Attempt(*_row(connection, _WAITING, job_id))
        if attempt.state != JobState.QUEUED:
            raise _conflict(job_id, attempt.state, JobState.QUEUED)
        connection.remember(job_id, attempt)
    return attempt


def _attempt_of(facts: Sequence[Any]) -> Attempt:
    attempt = Attempt(*facts[:8])
    if facts[8] is not None:
        attempt.purchase = tuple(facts[8:])
    return attempt


def _conflict(job_id: str, state: str, *states: JobState) -> LedgerConflictError:
    return LedgerConflictError(f"job {job_id} is {state} and not {' or '.join(states)}")


def _move(connection: LedgerConnection, sql: str, values: tuple[object, ...], job_id: str, what: str) -> None:
    """An update that names the state it leaves: where it meets no row, it has written nothing."""
    if connection.write(sql, values).rowcount != 1:
        connection.forget(job_id)
        (state,) = _row(connection, _STATE, job_id)
        raise LedgerConflictError(f"job {job_id} is {state} and cannot be {what}")


def _badly_left(state: JobState, failure: Failure, attempt: Attempt) -> Ending:
    """A bad end that leaves what is known of the task as it is."""
    return _badly(state, failure, attempt.report, attempt.submitted_at)


def _badly(state: JobState, failure: Failure, report: str | None, submitted_at: float | None) -> Ending:
    known = replace(failure, message=well_formed(failure.message), code=well_formed(failure.code))
    return Ending(state, known, report, None, submitted_at)


def _end(
    connection: LedgerConnection,
    run_id: str,
    job_id: str,
    attempt: Attempt,
    ended: Ending,
    at: float,
    *,
    download_again: bool = False,
    bought: bool = True,
) -> None:
    """Write the end of a job and its results line. Everything that can go wrong in Python goes wrong before."""
    cost = purchases.cost_so_far(attempt.purchase) if bought else None
    line = build_line(run_id, job_id, attempt, ended, at, cost)
    if ended.failure is None:
        _move(connection, _END_WELL, (ended.files, at, attempt.seq), job_id, "ended")
    else:
        _move(connection, _END_BADLY, _bad_end(attempt, ended, ended.failure, at, download_again), job_id, "ended")
    connection.forget(job_id)
    _tell(connection, job_id, attempt.number, line)


def _tell(connection: LedgerConnection, job_id: str, attempt: int, line: str) -> None:
    """Append a results line."""
    number = connection.write(_LINE, (job_id, attempt, line)).lastrowid
    if connection.lines is not None and number is not None:
        connection.lines.append((number, line))


def _bad_end(attempt: Attempt, ended: Ending, failure: Failure, at: float, download_again: bool) -> tuple[object, ...]:
    reason = (failure.stage.value, failure.code, failure.message, failure.http_status)
    left = (attempt.seq, attempt.state)
    return (ended.state.value, ended.report, *reason, int(download_again), ended.submitted_at, at, *left)
