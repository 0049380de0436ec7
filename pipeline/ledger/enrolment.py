"""How the rows of a manifest enter the ledger: all of them in one transaction, or none."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from pipeline.core.errors import UsageError
from pipeline.core.jobs import ENDED, Job, JobState, Source, Stage
from pipeline.ledger.codec import Spec, from_json, spec_of
from pipeline.ledger.transitions import requeue

OnChanged = Literal["error", "keep", "rerun"]

_NAMED = 20
"""So many changed jobs or collisions are named; the rest is counted."""


@dataclass(frozen=True, slots=True)
class ChangedJob:
    """A row that no longer buys what its job was enrolled to buy."""

    job_id: str
    source: Source
    """Where the new row stands."""
    state: JobState
    """Of the job before this enrolment."""
    was: Source
    """Where the row stood that was enrolled before."""
    differs: tuple[str, ...]
    """What is bought otherwise: dotted paths, or `the bytes of a local file`."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What enrolling did: `new + known + changed_total` is the number of rows."""

    new: int
    known: int
    """Rows that buy what they bought before."""
    changed: tuple[ChangedJob, ...] = ()
    """The first of them, in the order of the manifest."""
    changed_total: int = 0


@dataclass(slots=True)
class _Tally:
    new: int = 0
    known: int = 0
    written: bool = False
    """Whether any output may have entered the ledger."""
    changed: list[ChangedJob] = field(default_factory=list)
    changed_total: int = 0


def enroll(connection: sqlite3.Connection, jobs: Iterable[Job], on_changed: OnChanged, at: float) -> Enrolment:
    """Enroll the jobs inside the current transaction, or leave it as it was.

    A job has changed where its digest differs. `error`: nothing is enrolled, and the answer names the changed jobs.
    `keep`: what was enrolled stays. `rerun`: the new row takes the place of the old one and the job is queued again,
    except where a task may be under way (submitting, running, fetching).

    Where only output, metadata or source differ, the new ones are taken as long as nothing of the job can be on disk
    (queued, unknown, failed before the download); otherwise what was recorded stays, so that a video never moves.

    Jobs whose rows have left the manifest stay. Raises `UsageError` where two jobs would write the same output, and
    whatever iterating over `jobs` raises.
    """
    connection.execute("SAVEPOINT enrolment")
    try:
        tally = _Tally()
        for job in jobs:
            _enroll_one(connection, job, on_changed, at, tally)
        if tally.written:
            _refuse_collisions(connection)
    except BaseException:
        _undo(connection)
        raise
    if tally.changed_total and on_changed == "error":
        _undo(connection)
        return Enrolment(0, tally.known, tuple(tally.changed), tally.changed_total)
    connection.execute("RELEASE enrolment")
    return Enrolment(tally.new, tally.known, tuple(tally.changed), tally.changed_total)


def _undo(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # on a full disk SQLite has already rolled everything back
        connection.execute("ROLLBACK TO enrolment")
        connection.execute("RELEASE enrolment")


# -- one row --------------------------------------------------------------------------------------------------------

_KNOWN = "SELECT seq, digest, state, output, spec, failure_stage FROM jobs WHERE job_id = ?"
_INSERT = "INSERT INTO jobs (job_id, digest, output, spec, state, moved_at) VALUES (?, ?, ?, ?, 'queued', ?)"
_DESCRIBE = "UPDATE jobs SET digest = ?, output = ?, spec = ? WHERE seq = ?"


def _enroll_one(connection: sqlite3.Connection, job: Job, on_changed: OnChanged, at: float, tally: _Tally) -> None:
    row = connection.execute(_KNOWN, (job.job_id,)).fetchone()
    if row is None:
        connection.execute(_INSERT, (job.job_id, job.digest, job.output, spec_of(job), at))
        tally.new += 1
        tally.written = True
    elif row["digest"] == job.digest:
        tally.known += 1
        if _may_be_described_anew(row):
            _describe(connection, row, job, tally)
    else:
        _meet_changed(connection, row, job, on_changed, at, tally)


def _may_be_described_anew(row: sqlite3.Row) -> bool:
    if row["state"] == JobState.FAILED:
        return bool(row["failure_stage"] != Stage.DOWNLOAD)
    return row["state"] in {JobState.QUEUED, JobState.UNKNOWN}


def _describe(connection: sqlite3.Connection, row: sqlite3.Row, job: Job, tally: _Tally) -> None:
    spec = spec_of(job)
    if (row["output"], row["spec"]) != (job.output, spec):
        connection.execute(_DESCRIBE, (job.digest, job.output, spec, row["seq"]))
        tally.written = True


def _differences(was: Spec, job: Job) -> tuple[str, ...]:
    found = ["model"] if was.model != job.model else []
    for section, old, new in (("input", was.input, job.input), ("parameters", was.parameters, job.parameters)):
        names = {**old, **new}
        found += [f"{section}.{name}" for name in names if old.get(name) != new.get(name)]
    return tuple(found) or ("the bytes of a local file",)


def _meet_changed(
    connection: sqlite3.Connection, row: sqlite3.Row, job: Job, on_changed: OnChanged, at: float, tally: _Tally
) -> None:
    state = JobState(row["state"])
    tally.changed_total += 1
    if len(tally.changed) < _NAMED:
        was = from_json(row["spec"], Spec)
        tally.changed.append(ChangedJob(job.job_id, job.source, state, was.source, _differences(was, job)))
    if on_changed == "rerun" and (state is JobState.QUEUED or state in ENDED):
        _describe(connection, row, job, tally)
        requeue(connection, [row["seq"]], at)


# -- collisions -----------------------------------------------------------------------------------------------------

_COLLISIONS = """
    SELECT output FROM jobs GROUP BY output HAVING count(*) > 1
    UNION SELECT output FROM claims JOIN jobs USING (output) WHERE claims.job_id != jobs.job_id
    LIMIT ?
"""
_OWNERS = """
    SELECT job_id, spec FROM jobs
    WHERE output = :output OR job_id = (SELECT job_id FROM claims WHERE output = :output)
    ORDER BY seq LIMIT 2
"""


def _refuse_collisions(connection: sqlite3.Connection) -> None:
    """Looked for once, at the end, so that two queued jobs may swap their outputs."""
    outputs = [output for (output,) in connection.execute(_COLLISIONS, (_NAMED + 1,))]
    if not outputs:
        return
    lines = [_collision(connection, output) for output in outputs[:_NAMED]]
    if len(outputs) > _NAMED:
        lines.append("… and more")
    raise UsageError("\n".join(lines))


def _collision(connection: sqlite3.Connection, output: str) -> str:
    first, second = (_owner(row) for row in connection.execute(_OWNERS, {"output": output}))
    return (
        f"{second} would write {output}, which belongs to {first} in this output folder; "
        "give it another output name, or use another output folder"
    )


def _owner(row: sqlite3.Row) -> str:
    source = from_json(row["spec"], Spec).source
    return f"job {row['job_id']} ({source.file}:{source.line})"
