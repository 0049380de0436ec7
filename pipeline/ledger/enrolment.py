"""How the rows of a manifest enter the ledger: all of them in one transaction, or none."""

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

from pipeline.core.errors import UsageError
from pipeline.core.files import fold
from pipeline.core.jobs import ENDED, Job, JobState, Source, Stage
from pipeline.core.values import Value
from pipeline.ledger.codec import Spec, from_json, kind_of, spec_of, to_json
from pipeline.ledger.connection import LedgerConnection
from pipeline.ledger.overview import recall
from pipeline.ledger.queries import Waiting
from pipeline.ledger.transitions import forget, remember, requeue

OnChanged = Literal["error", "keep", "rerun"]

NAMED = 20
"""So many changed jobs or collisions are named; the rest is counted."""


class ChangedJob(Value):
    """A row that no longer buys what its job was enrolled to buy."""

    job_id: str
    source: Source
    """Where the new row stands."""
    state: JobState
    """Of the job before this enrolment."""
    was: Source
    """Where the row stood that was enrolled before."""
    differs: tuple[str, ...]
    """What is bought otherwise: dotted paths, or the bytes of which local file."""


class Enrolment(Value):
    """What enrolling did: `new + known + changed_total` is the number of rows."""

    new: int
    known: int
    """Rows that buy what they bought before."""
    changed: tuple[ChangedJob, ...] = ()
    """The first of them, in the order of the manifest."""
    changed_total: int = 0
    left: tuple[str, ...] = ()
    """The first of the changed rows whose jobs stay as they were: all that are kept, or those in flight."""
    left_total: int = 0


class Reading(Value):
    """A whole reading of a manifest: the next run knows the same manifest again by it, and need not read a row."""

    identity: str | None
    """Of everything that decides the jobs but local files (`Manifest.identity`); None where nobody can tell."""
    warnings: tuple[str, ...] = ()
    """What its check had to say."""


@dataclass(slots=True)
class _Tally:
    new: int = 0
    known: int = 0
    last_was_new: bool = True
    """Whether the row before this one was."""
    written: bool = False
    """Whether any output may have entered the ledger."""
    settled: bool = True
    """Whether enrolling the same rows again could change nothing, whatever becomes of the jobs until then."""
    changed: list[ChangedJob] = field(default_factory=list)
    changed_total: int = 0
    left: list[str] = field(default_factory=list)
    left_total: int = 0


def enroll(
    connection: LedgerConnection,
    jobs: Iterable[Job],
    on_changed: OnChanged,
    at: float,
    reading: Reading | None = None,
    approve: Callable[[Waiting], None] | None = None,
) -> Enrolment:
    """Enroll the jobs inside the current transaction, or leave it as it was.

    A job has changed where its digest differs. `error`: nothing is enrolled, and the answer names the changed jobs.
    `keep`: what was enrolled stays. `rerun`: the new row takes the place of the old one and the job is queued again,
    except where a task may be under way (submitting, running, fetching).

    Where only output, metadata or source differ, the new ones are taken as long as nothing of the job can be on disk
    (queued, unknown, failed before the download); otherwise what was recorded stays, so that a video never moves.

    Jobs whose rows have left the manifest stay. Raises `UsageError` where two jobs would write the same output, and
    whatever iterating over `jobs` raises.

    `approve` is shown what a run could submit then; where it raises, nothing is enrolled, and nothing queued again.

    The reading that the jobs come from is remembered (`last_reading`) where it can stand for them: none of them has
    changed, and none names a local file, whose bytes are known to nobody but who reads them again.
    """
    connection.forget_all()
    connection.execute("SAVEPOINT enrolment")
    try:
        tally, before = _Tally(), connection.execute("SELECT max(seq) FROM jobs").fetchone()[0]
        for job in jobs:
            _enroll_one(connection, job, on_changed, at, tally)
        if tally.written:
            _refuse_collisions(connection)
        if tally.new and before:
            _refuse_likeness(connection, before)
        _remember_reading(connection, reading if tally.settled and not tally.changed_total else None)
        if approve is not None and not (tally.changed_total and on_changed == "error"):
            approve(Waiting(connection))
    except BaseException:
        _undo(connection)
        raise
    if tally.changed_total and on_changed == "error":
        _undo(connection)
        return Enrolment(0, tally.known, tuple(tally.changed), tally.changed_total)
    connection.execute("RELEASE enrolment")
    changed = tuple(tally.changed), tally.changed_total
    return Enrolment(tally.new, tally.known, *changed, tuple(tally.left), tally.left_total)


def _undo(connection: LedgerConnection) -> None:
    if connection.in_transaction:  # on a full disk SQLite has already rolled everything back
        connection.execute("ROLLBACK TO enrolment")
        connection.execute("RELEASE enrolment")


# -- the reading ----------------------------------------------------------------------------------------------------

_READING = "manifest read whole"


def last_reading(connection: sqlite3.Connection) -> Reading | None:
    """The reading that the last enrolment was made of, where it can stand for its rows."""
    text = recall(connection, _READING)
    return None if text is None else from_json(text, Reading)


def _remember_reading(connection: LedgerConnection, reading: Reading | None) -> None:
    if reading is None or reading.identity is None:
        forget(connection, _READING)
    else:
        remember(connection, _READING, to_json(reading))


# -- one row --------------------------------------------------------------------------------------------------------

_KNOWN = "SELECT seq, digest, state, output, spec, failure_stage FROM jobs WHERE job_id = ?"
_INSERT = """
    INSERT INTO jobs (job_id, digest, output, spec, kind, state, moved_at) VALUES (?, ?, ?, ?, ?, 'queued', ?)
    ON CONFLICT (job_id) DO NOTHING
"""
_DESCRIBE = "UPDATE jobs SET digest = ?, output = ?, spec = ?, kind = ? WHERE seq = ?"


def _enroll_one(connection: LedgerConnection, job: Job, on_changed: OnChanged, at: float, tally: _Tally) -> None:
    """A row is taken for what the one before it was, new or known: one statement a row, seldom two."""
    if job.files:
        tally.settled = False
    if tally.last_was_new and _insert(connection, job, at, tally):
        return
    row = connection.execute(_KNOWN, (job.job_id,)).fetchone()
    if row is None:
        _insert(connection, job, at, tally)
    else:
        tally.last_was_new = False
        _meet_known(connection, row, job, on_changed, at, tally)


def _insert(connection: LedgerConnection, job: Job, at: float, tally: _Tally) -> bool:
    """Whether the job was new."""
    row = (job.job_id, job.digest, job.output, spec_of(job), kind_of(job), at)
    if connection.execute(_INSERT, row).rowcount == 0:
        return False
    tally.new += 1
    tally.written = tally.last_was_new = True
    return True


def _meet_known(
    connection: LedgerConnection, row: sqlite3.Row, job: Job, on_changed: OnChanged, at: float, tally: _Tally
) -> None:
    if row["digest"] == job.digest:
        tally.known += 1
        if _may_be_described_anew(row):
            _describe(connection, row, job, tally)
        elif row["state"] != JobState.DONE and (row["output"], row["spec"]) != (job.output, spec_of(job)):
            tally.settled = False
    else:
        _meet_changed(connection, row, job, on_changed, at, tally)


def _may_be_described_anew(row: sqlite3.Row) -> bool:
    if row["state"] == JobState.FAILED:
        return bool(row["failure_stage"] != Stage.DOWNLOAD)
    return row["state"] in {JobState.QUEUED, JobState.UNKNOWN}


def _describe(connection: LedgerConnection, row: sqlite3.Row, job: Job, tally: _Tally) -> None:
    spec = spec_of(job)
    if (row["output"], row["spec"]) != (job.output, spec):
        connection.execute(_DESCRIBE, (job.digest, job.output, spec, kind_of(job), row["seq"]))
        tally.written = True


def changed_job(job: Job, state: JobState, was: Spec) -> ChangedJob:
    """What the row of a job in this state buys otherwise than what was enrolled."""
    return ChangedJob(job.job_id, job.source, state, was.source, _differences(was, job))


def _differences(was: Spec, job: Job) -> tuple[str, ...]:
    found = ["model"] if was.model != job.model else []
    for section, old, new in (("input", was.input, job.input), ("parameters", was.parameters, job.parameters)):
        names = {**old, **new}
        found += [f"{section}.{name}" for name in names if old.get(name) != new.get(name)]
    before = {file.field: file.sha256 for file in was.files}
    found += [
        f"the bytes of {PurePath(file.path).name} ({file.field})"
        for file in job.files
        if file.field not in found and before.get(file.field) != file.sha256
    ]
    return tuple(found) or ("the bytes of a local file",)


def _meet_changed(
    connection: LedgerConnection, row: sqlite3.Row, job: Job, on_changed: OnChanged, at: float, tally: _Tally
) -> None:
    state = JobState(row["state"])
    tally.changed_total += 1
    if len(tally.changed) < NAMED:
        tally.changed.append(changed_job(job, state, from_json(row["spec"], Spec)))
    if on_changed == "rerun" and (state is JobState.QUEUED or state in ENDED):
        _describe(connection, row, job, tally)
        requeue(connection, [row["seq"]], at)
        return
    tally.left_total += 1
    if len(tally.left) < NAMED:
        tally.left.append(job.job_id)


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


def _refuse_collisions(connection: LedgerConnection) -> None:
    """Looked for once, at the end, so that two queued jobs may swap their outputs."""
    outputs = [output for (output,) in connection.execute(_COLLISIONS, (NAMED + 1,))]
    if not outputs:
        return
    lines = [_collision(connection, output) for output in outputs[:NAMED]]
    if len(outputs) > NAMED:
        lines.append("… and more")
    raise UsageError("\n".join(lines))


_FOLDED = """
    CREATE TEMP VIEW folded AS SELECT seq, job_id, output, spec,
        CASE WHEN length(output) = length(CAST(output AS BLOB)) THEN lower(output) ELSE fold(output) END AS name
    FROM main.jobs
"""
"""Of ASCII, whose bytes are its characters, SQLite itself makes the name, and much faster."""
_LIKENESS = """
    SELECT job_id, output, spec, name FROM temp.folded
    WHERE seq <= ? AND name IN (SELECT name FROM temp.fresh) ORDER BY seq LIMIT ?
"""
_NEW = "SELECT job_id, output, spec FROM temp.folded WHERE seq > ? AND name = ? ORDER BY seq LIMIT 1"


def _refuse_likeness(connection: LedgerConnection, before: int) -> None:
    """An output of a new job must not be that of an earlier one in another case or Unicode form.

    The check of a manifest sees to that within it; here it is about rows that have left it, or stand in another one.
    On some file systems the new video would take the place of the old one.
    """
    connection.create_function("fold", 1, fold, deterministic=True)
    connection.execute(_FOLDED)
    connection.execute("CREATE TEMP TABLE fresh (name TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.execute("INSERT OR IGNORE INTO temp.fresh SELECT name FROM temp.folded WHERE seq > ?", (before,))
    found = connection.execute(_LIKENESS, (before, NAMED + 1)).fetchall()
    lines = [_likeness(connection, row, before) for row in found[:NAMED]]
    connection.execute("DROP TABLE temp.fresh")
    connection.execute("DROP VIEW temp.folded")
    if len(found) > NAMED:
        lines.append("… and more")
    if lines:
        raise UsageError("\n".join(lines))


def _likeness(connection: LedgerConnection, old: sqlite3.Row, before: int) -> str:
    new = connection.execute(_NEW, (before, old["name"])).fetchone()
    return (
        f"{_owner(new)} would write {new['output']}, which is the output {old['output']} of {_owner(old)} in another "
        "case or Unicode form, and some systems take them for one file; give it another output name"
    )


def _collision(connection: LedgerConnection, output: str) -> str:
    first, second = (_owner(row) for row in connection.execute(_OWNERS, {"output": output}))
    return (
        f"{second} would write {output}, which belongs to {first} in this output folder; "
        "give it another output name, or use another output folder"
    )


def _owner(row: sqlite3.Row) -> str:
    source = from_json(row["spec"], Spec).source
    return f"job {row['job_id']} ({source.file}:{source.line})"
