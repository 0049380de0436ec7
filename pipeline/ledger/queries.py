"""Questions to the ledger that change nothing: plain functions over a connection."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.core.jobs import Job, JobState, Record, StoredFile
from pipeline.core.selecting import in_sqlite
from pipeline.core.values import Value
from pipeline.ledger import purchases
from pipeline.ledger.codec import Columns, Spec, columns_of, files_of, from_json, job_of, record_of, to_json
from pipeline.ledger.connection import Attempt, LedgerConnection
from pipeline.ledger.purchases import Cost

Page = list[tuple[int, Record]]
"""Records in the order of enrolment, each with the cursor after which the next page begins."""

Stored = tuple[str, JobState, tuple[StoredFile, ...]]
"""A job, its state, and its videos on record."""
_MAY_BE_STORED = (JobState.DONE, JobState.FETCHING, JobState.FAILED)

_HEAVY_PAGE = 16_000_000
"""Characters of jobs after which a page ends early, so that a page's memory is bounded whatever its jobs hold."""


class Known(Value):
    """What a plan asks about an enrolled job."""

    seq: int
    state: JobState
    same: bool
    """Whether it was enrolled to buy what the row buys."""
    download_again: bool
    """It failed at its download, which the next run repeats without paying."""
    traceable: bool
    """Its task can be looked up by our own id."""
    spec: str


class Story(Value):
    """What became of a job so far, for those who tell it; Unix seconds on this machine's clock."""

    record: Record
    moved_at: float
    """The last transition: of a job that is done, when its videos were whole."""
    intent_at: float | None
    """When the paid request was about to leave."""
    noticed_at: float | None
    """When a status answer said that the task has ended; None too where an older version saw it."""
    cost: Cost | None
    """Of the latest attempt; None where no price is known, or nothing was bought."""


# -- how many -------------------------------------------------------------------------------------------------------

_QUEUED_COUNT = "SELECT count(*) FROM jobs WHERE state = 'queued'"
_SELECTED_COUNT = "SELECT count(*) FROM jobs WHERE state = 'queued' AND job_id GLOB ?"


_KINDS = """
    SELECT kind, count(*) FROM jobs INDEXED BY jobs_waiting WHERE state = 'queued' GROUP BY kind
"""
_SELECTED_KINDS = "SELECT kind, count(*) FROM jobs WHERE state = 'queued' AND job_id GLOB ? GROUP BY kind"
_MATCHES = "SELECT 1 FROM jobs WHERE job_id GLOB ? LIMIT 1"


def is_selected(connection: sqlite3.Connection, select: str) -> bool:
    """Whether the shell pattern matches any job, whatever its state."""
    return connection.execute(_MATCHES, (in_sqlite(select),)).fetchone() is not None


def submit_queue_size(connection: sqlite3.Connection, select: str | None) -> int:
    """How many queued jobs match the shell pattern; without a pattern an index alone answers."""
    if select is None:
        return int(connection.execute(_QUEUED_COUNT).fetchone()[0])
    return int(connection.execute(_SELECTED_COUNT, (in_sqlite(select),)).fetchone()[0])


def kinds(connection: sqlite3.Connection, select: str | None) -> dict[str, int]:
    """How many queued jobs that match the shell pattern are of each kind; without a pattern an index alone answers."""
    if select is None:
        return dict(connection.execute(_KINDS).fetchall())
    return dict(connection.execute(_SELECTED_KINDS, (in_sqlite(select),)).fetchall())


# -- which ----------------------------------------------------------------------------------------------------------

_RECORD = "SELECT * FROM jobs WHERE job_id = ?"
_WAITING = "SELECT seq, attempt, external_id, job_id, digest, output, spec FROM jobs"
"""All that is known of a queued job. A row of all columns takes twice the time of these."""
_QUEUED = f"{_WAITING} WHERE state = 'queued' AND seq > ? AND job_id GLOB ? ORDER BY seq LIMIT ?"
_QUEUED_OF_KIND = f"""
    {_WAITING} INDEXED BY jobs_waiting
    WHERE state = 'queued' AND kind = ? AND seq > ? AND job_id GLOB ? ORDER BY seq LIMIT ?
"""
_SURVEYED = """
    SELECT job_id, digest, output, spec FROM jobs WHERE state = 'queued' AND job_id GLOB ? ORDER BY seq LIMIT ?
"""
_UNFINISHED = """
    SELECT * FROM jobs WHERE seq IN (
        SELECT seq FROM jobs WHERE state IN ('submitting', 'running', 'fetching') AND seq > ? ORDER BY seq LIMIT ?
    ) ORDER BY seq
"""
"""Sorts numbers, which an index has, and not rows."""
_RECORDS = "SELECT * FROM jobs WHERE state = ? ORDER BY seq LIMIT ?"


def record(connection: sqlite3.Connection, job_id: str) -> Record | None:
    """What is known of one job; None where it is not enrolled."""
    row = connection.execute(_RECORD, (job_id,)).fetchone()
    return None if row is None else record_of(row)


def queued(connection: LedgerConnection, select: str | None, after: int, limit: int, kind: str | None = None) -> Page:
    """Up to `limit` queued jobs after the cursor whose id matches the shell pattern, of one kind where one is named."""
    if kind is not None:
        rows = bare(connection).execute(_QUEUED_OF_KIND, (kind, after, in_sqlite(select), limit))
    else:
        rows = bare(connection).execute(_QUEUED, (after, in_sqlite(select), limit))
    page, weight = Page(), 0
    for seq, attempt, external_id, *bought in rows:
        job, spec = _job(*bought), bought[-1]
        connection.remember(job.job_id, Attempt(seq, attempt, "queued", spec))  # which its intent is about to need
        page.append((seq, Record(job, JobState.QUEUED, attempt, external_id=external_id)))
        weight += len(spec)
        if weight > _HEAVY_PAGE:
            break
    return page


def survey(connection: sqlite3.Connection, see: Callable[[Job], None], select: str | None, limit: int | None) -> None:
    """Show every queued job that matches the shell pattern, in the order of enrolment."""
    for row in bare(connection).execute(_SURVEYED, (in_sqlite(select), -1 if limit is None else limit)):
        see(_job(*row))


class Waiting:
    """What a run could submit, as it is inside a transaction: for whoever may object before anything is queued again.

    Used on the ledger's thread, and only while the transaction lasts.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def is_selected(self, select: str) -> bool:
        """Whether the shell pattern matches any job, whatever its state."""
        return is_selected(self._connection, select)

    def survey(
        self, see: Callable[[Job], None], *, select: str | None, limit: int | None, failed: bool, unknown: bool
    ) -> None:
        """Show every job that waits, with those that failed or are unknown and are to be bought again."""
        if not (failed or unknown):
            survey(self._connection, see, select, limit)
            return
        asked = {
            "failed": failed,
            "unknown": unknown,
            "select": in_sqlite(select),
            "limit": -1 if limit is None else limit,
        }
        for row in bare(self._connection).execute(_SURVEYED_AGAIN, asked):
            see(_job(*row))


def bare(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """A cursor with rows that have no names, for what is read by the thousand."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor


def _job(job_id: str, digest: str, output: str, spec: str) -> Job:
    bought = from_json(spec, Spec)
    return Job(
        job_id,
        digest,
        bought.model,
        bought.input,
        bought.parameters,
        output,
        bought.source,
        bought.metadata,
        bought.files,
    )


def unfinished(connection: sqlite3.Connection, after: int, limit: int) -> Page:
    """Up to `limit` jobs after the cursor that a run has begun and that have not ended."""
    return _page(connection.execute(_UNFINISHED, (after, limit)))


def _page(rows: Iterable[sqlite3.Row]) -> Page:
    """The rows as records, fewer where they are heavy: pictures that stand in a manifest are in them."""
    page, weight = Page(), 0
    for row in rows:
        page.append((row["seq"], record_of(columns_of(row))))
        weight += len(row["spec"])
        if weight > _HEAVY_PAGE:
            break
    return page


def records(connection: sqlite3.Connection, state: JobState, limit: int) -> list[Record]:
    """The first `limit` jobs in a state."""
    return [record_of(row) for row in connection.execute(_RECORDS, (state, limit))]


# -- what a run would do --------------------------------------------------------------------------------------------

_KNOWN = """
    SELECT seq, job_id, digest, state, download_again,
        external_id IS NOT NULL AND task_id IS NULL AS traceable, spec
    FROM jobs WHERE job_id IN (SELECT value FROM json_each(?))
"""
_OWNERS = """
    SELECT output, job_id FROM jobs WHERE output IN (SELECT value FROM json_each(?1))
    UNION ALL SELECT output, job_id FROM claims WHERE output IN (SELECT value FROM json_each(?1))
"""
_TO_BUY = """
    FROM jobs WHERE (
        state = 'queued' OR (:failed AND state = 'failed' AND NOT download_again)
            OR (:unknown AND state IN ('unknown', 'submitting') AND (external_id IS NULL OR task_id IS NOT NULL))
    )
"""
_QUEUED_AGAIN = f"SELECT seq, state, job_id, digest, output, spec {_TO_BUY} ORDER BY seq"
_SURVEYED_AGAIN = f"""
    SELECT job_id, digest, output, spec {_TO_BUY} AND job_id GLOB :select ORDER BY seq LIMIT :limit
"""
_LATEST_FILES = "SELECT files FROM jobs WHERE state = 'done' AND files IS NOT NULL ORDER BY seq DESC LIMIT 1000"


def known(connection: sqlite3.Connection, jobs: Sequence[Job]) -> dict[str, Known]:
    """Those of the jobs that are enrolled, by id."""
    digests = {job.job_id: job.digest for job in jobs}
    rows = connection.execute(_KNOWN, (to_json(list(digests)),))
    return {
        row["job_id"]: Known(
            row["seq"],
            JobState(row["state"]),
            row["digest"] == digests[row["job_id"]],
            bool(row["download_again"]),
            bool(row["traceable"]),
            row["spec"],
        )
        for row in rows
    }


def owners(connection: sqlite3.Connection, outputs: Sequence[str]) -> dict[str, str]:
    """The jobs that have these outputs, by output."""
    return dict(map(tuple, connection.execute(_OWNERS, (to_json(list(outputs)),))))


def outputs(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Every output with its job."""
    for row in connection.execute("SELECT output, job_id FROM jobs ORDER BY seq"):
        yield row["output"], row["job_id"]


def queued_again(connection: sqlite3.Connection, *, failed: bool, unknown: bool) -> Iterator[tuple[int, JobState, Job]]:
    """Every job that waits, with those that failed or are unknown and are to be bought again; each with its number."""
    for row in connection.execute(_QUEUED_AGAIN, {"failed": failed, "unknown": unknown}):
        yield row["seq"], JobState(row["state"]), job_of(row)


def mean_bytes(connection: sqlite3.Connection) -> float | None:
    """The mean size of what one of the latest thousand jobs brought."""
    sizes = [sum(file.bytes for file in files_of(text)) for (text,) in connection.execute(_LATEST_FILES)]
    return sum(sizes) / len(sizes) if sizes else None


# -- for people and scripts -----------------------------------------------------------------------------------------

_STORY = """
    SELECT jobs.*, currency, expected, actual FROM jobs
    LEFT JOIN purchases ON job = seq AND purchases.attempt = jobs.attempt
"""
_ONE = "WHERE job_id = ?"
_NEWEST = "SELECT seq FROM jobs ORDER BY state IN ('failed', 'unknown') DESC, moved_at DESC, seq DESC LIMIT ?"
_ENDED = """
    SELECT results.seq AS line_seq, jobs.*, currency, expected, actual FROM results
    JOIN jobs ON jobs.job_id = results.job_id AND jobs.attempt = results.attempt
    LEFT JOIN purchases ON job = jobs.seq AND purchases.attempt = jobs.attempt
    WHERE results.seq > ? ORDER BY results.seq
"""
_LAST_LINE = "SELECT coalesce(max(seq), 0) FROM results"
_LINES = "SELECT seq, line FROM results WHERE seq > ? ORDER BY seq LIMIT ?"
_ENDED_COUNTS = """
    SELECT state, count(*) FROM jobs WHERE job_id IN (SELECT job_id FROM results WHERE seq > ?) GROUP BY state
"""
_FILES = "SELECT job_id, files FROM jobs WHERE state = 'done' ORDER BY seq"
_STORED = """
    SELECT job_id, state, files FROM jobs
    WHERE state IN (SELECT value FROM json_each(?)) AND files IS NOT NULL ORDER BY seq
"""
_LATEST = """
    SELECT line FROM results AS mine
    WHERE NOT EXISTS (SELECT 1 FROM results AS later WHERE later.job_id = mine.job_id AND later.seq > mine.seq)
    ORDER BY seq
"""


def files(connection: sqlite3.Connection) -> Iterator[tuple[str, StoredFile]]:
    """Every video that should be on disk, with its job's id."""
    for job_id, stored in connection.execute(_FILES):
        for file in files_of(stored):
            yield job_id, file


def stored(connection: sqlite3.Connection, states: Sequence[JobState] = _MAY_BE_STORED) -> Iterator[Stored]:
    """Every job with videos on record: done, or done once and to be fetched again, or failed at that."""
    for job_id, state, files in connection.execute(_STORED, (to_json(states),)):
        yield job_id, JobState(state), files_of(files)


def story(connection: sqlite3.Connection, job_id: str) -> Story | None:
    """What became so far of one job; None where it is not enrolled. The ledger has the present format."""
    row = connection.execute(f"{_STORY} {_ONE}", (job_id,)).fetchone()
    return None if row is None else _story(row)


def ended(connection: sqlite3.Connection, after: int) -> Iterator[tuple[int, Story]]:
    """Every job that has a results line after the cursor for its latest attempt, each with the line's number.

    The ledger has the present format.
    """
    for row in connection.execute(_ENDED, (after,)):
        yield row["line_seq"], _story(row)


def _story(row: Columns) -> Story:
    cost = purchases.cost_of(row["currency"], row["expected"], row["actual"])
    return Story(record_of(row), row["moved_at"], row["intent_at"], row["noticed_at"], cost)


def last_line(connection: sqlite3.Connection) -> int:
    """The number of the newest results line; 0 where there is none."""
    return int(connection.execute(_LAST_LINE).fetchone()[0])


def lines(connection: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, str]]:
    """Up to `limit` results lines after the cursor, each with its number, without newlines."""
    return [(row["seq"], row["line"]) for row in connection.execute(_LINES, (after, limit))]


def ended_counts(connection: sqlite3.Connection, after: int) -> dict[JobState, int]:
    """How the jobs stand now that have a results line after the cursor, by state."""
    return {JobState(state): count for state, count in connection.execute(_ENDED_COUNTS, (after,))}


def newest(connection: sqlite3.Connection, limit: int) -> list[int]:
    """The cursors of the jobs that moved last, failed and unknown ones before all others."""
    return [seq for (seq,) in connection.execute(_NEWEST, (limit,))]


def latest(connection: sqlite3.Connection) -> Iterator[str]:
    """The newest results line of each job that has one, in the order of the results file, without newlines."""
    for (line,) in connection.execute(_LATEST):
        yield line
