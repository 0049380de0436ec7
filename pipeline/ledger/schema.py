"""The tables of ledger.sqlite3, how they came about, and how the file is opened.

A migration is one transaction, its number included: where it fails, nothing of it stays and it is still pending. Its
statements may use `kind_of`, a function of ours.
The first statements of the first migration are a promise to every later version: `meta.made_by` can always be read.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import __version__
from pipeline.core.errors import LedgerError, UsageError
from pipeline.ledger.faults import is_full, primary_code, translated

if TYPE_CHECKING:
    from pipeline.ledger.connection import LedgerConnection

LEDGER_NAME = "ledger.sqlite3"

_APPLICATION_ID = 0x76627031
"""`vbp1`, so that a file of another program is never mistaken for a ledger."""
_BUSY_SECONDS = 10.0
"""Nobody but a reader that recovers a crashed run's log holds the file for longer than moments."""
_PAGE_BYTES = 8192
"""Of a new ledger. A job's row grows from half a kilobyte to one or more: pages of half the size, which are SQLite's
own choice, would be split and written more often, which costs a group of a thousand steps a twentieth of its time."""
_LOG_BYTES = 32 * 1024 * 1024
"""The log is written back when it has grown so long, which takes two flushes and a while."""

_MEMORY_SINCE = 2
_PURCHASES_SINCE = 3
_NOTICES_SINCE = 4
"""The formats that brought the tables, and the column `noticed_at`."""


def _terms(row: str) -> dict[str, str]:
    """What an attempt is to each of the sums."""
    known = f"coalesce({row}.actual, {row}.expected, 0)"
    return {
        "tasks": "1",
        "spent": f"{known} * {row}.ended",
        "estimated": f"{known} * ({row}.ended AND {row}.actual IS NULL)",
        "reserved": f"coalesce({row}.worst, 0) * NOT {row}.ended",
        "at_most": f"coalesce({row}.actual, {row}.worst, 0)",
        "seconds": f"coalesce({row}.seconds, 0)",
        "unpriced": f"(coalesce({row}.actual, {row}.worst) IS NULL)",
        "unmeasured": f"({row}.seconds IS NULL)",
    }


def _counting(row: str, sign: str) -> str:
    """A trigger's statement that adds an attempt to the sums of its currency, or takes it away."""
    sums = ", ".join(f"{name} = {name} {sign} {term}" for name, term in _terms(row).items())
    return f"UPDATE spending SET {sums} WHERE currency = {row}.currency;"  # noqa: S608 - made of our own words above


def _recounting() -> str:
    """A trigger's statement that does both to an attempt that changes within its currency."""
    old, new = _terms("old"), _terms("new")
    sums = ", ".join(f"{name} = {name} + ({new[name]}) - ({old[name]})" for name in new if name != "tasks")
    return f"UPDATE spending SET {sums} WHERE currency = new.currency;"  # noqa: S608 - made of our own words above


_OPENED = "INSERT INTO spending (currency) VALUES (new.currency) ON CONFLICT DO NOTHING;"

Migration = Sequence[str]

MIGRATIONS: tuple[Migration, ...] = (
    (
        f"PRAGMA application_id = {_APPLICATION_ID}",
        """
        CREATE TABLE meta (
            made_by TEXT NOT NULL,                      -- the program version that made the present format
            exported_seq INTEGER NOT NULL DEFAULT 0,    -- the last line of `results` that results.jsonl surely holds
            results_bytes INTEGER NOT NULL DEFAULT 0    -- the length of results.jsonl after that line
        )
        """,
        "INSERT INTO meta (made_by) VALUES ('')",
        """
        CREATE TABLE runs (
            run_id TEXT PRIMARY KEY,
            started_at REAL NOT NULL,
            ended_at REAL                               -- null where the run goes on or was killed
        )
        """,
        """
        CREATE TABLE jobs (
            seq INTEGER PRIMARY KEY,                    -- the order of enrolment
            job_id TEXT NOT NULL UNIQUE,
            digest TEXT NOT NULL,
            output TEXT NOT NULL,
            spec TEXT NOT NULL,                         -- JSON: the rest of the job
            state TEXT NOT NULL,
            attempt INTEGER NOT NULL DEFAULT 0,
            owner TEXT,
            epoch INTEGER NOT NULL DEFAULT 0,
            intent_at REAL,
            body_digest TEXT,
            external_id TEXT,                           -- our own id for the attempt's task, where the model has one
            base_url TEXT,
            task_id TEXT,
            request_id TEXT,
            submitted_at REAL,
            report TEXT,                                -- JSON: the answer that ended the task
            files TEXT,                                 -- JSON: the videos on disk
            failure_stage TEXT,
            failure_code TEXT,
            failure_message TEXT,
            failure_status INTEGER,
            download_again INTEGER NOT NULL DEFAULT 0,  -- failed, but the next run downloads again without paying
            moved_at REAL NOT NULL                      -- the last transition
        )
        """,
        "CREATE INDEX jobs_by_state ON jobs (state)",
        "CREATE INDEX jobs_by_output ON jobs (output)",
        """
        CREATE TABLE claims (                           -- outputs of a task's second, third, ... video
            output TEXT PRIMARY KEY,
            job_id TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE results (
            seq INTEGER PRIMARY KEY,
            job_id TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            line TEXT NOT NULL                          -- as exported, without its newline
        )
        """,
        "CREATE INDEX results_by_job ON results (job_id)",
    ),
    (
        """
        CREATE TABLE memory (                           -- what one run learned and the next one wants to know
            key TEXT PRIMARY KEY,
            value TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        "ALTER TABLE jobs ADD COLUMN kind TEXT",  # jobs of one kind take about the same time
        "UPDATE jobs SET kind = kind_of(spec)",
        "CREATE INDEX jobs_waiting ON jobs (kind, state) WHERE state = 'queued'",  # alone answers how many wait
    ),
    (
        """
        CREATE TABLE purchases (                        -- one row for each attempt that may cost money
            job INTEGER NOT NULL,                       -- jobs.seq
            attempt INTEGER NOT NULL,
            currency TEXT NOT NULL DEFAULT '',          -- empty where no price is known
            expected INTEGER,                           -- amounts are in millionths
            worst INTEGER,
            actual INTEGER,                             -- by the usage that the service reported
            seconds INTEGER,                            -- of video, at most; thousandths
            ended INTEGER NOT NULL DEFAULT 0,           -- the task has ended: the amount no longer is held back
            doubted INTEGER NOT NULL DEFAULT 0,         -- its submit was in doubt, and is tried again
            PRIMARY KEY (job, attempt)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE spending (                         -- the sums of `purchases`
            currency TEXT PRIMARY KEY,
            tasks INTEGER NOT NULL DEFAULT 0,
            spent INTEGER NOT NULL DEFAULT 0,
            estimated INTEGER NOT NULL DEFAULT 0,
            reserved INTEGER NOT NULL DEFAULT 0,
            at_most INTEGER NOT NULL DEFAULT 0,
            seconds INTEGER NOT NULL DEFAULT 0,
            unpriced INTEGER NOT NULL DEFAULT 0,
            unmeasured INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID
        """,
        f"CREATE TRIGGER bought AFTER INSERT ON purchases BEGIN {_OPENED} {_counting('new', '+')} END",
        f"CREATE TRIGGER taken_back AFTER DELETE ON purchases BEGIN {_counting('old', '-')} END",
        f"""
        CREATE TRIGGER corrected AFTER UPDATE ON purchases
        BEGIN {_OPENED} {_counting("old", "-")} {_counting("new", "+")} END
        """,
        # What was bought before has no price on record. A refusal at the submit bought nothing.
        """
        INSERT INTO purchases (job, attempt, ended)
        WITH RECURSIVE
            paid (job, attempt, ended) AS (
                SELECT seq,
                    attempt - (state = 'failed' AND failure_stage = 'submit' AND failure_code != 'written_off'),
                    state NOT IN ('submitting', 'running', 'unknown')
                FROM jobs
                UNION ALL SELECT job, attempt - 1, 1 FROM paid WHERE attempt > 1
            )
        SELECT job, attempt, ended FROM paid WHERE attempt > 0
        """,
    ),
    (
        "ALTER TABLE jobs ADD COLUMN noticed_at REAL",  # when a status answer first said that the task has ended
    ),
    (  # the same sums, by one statement where it took three
        "DROP TRIGGER corrected",
        f"""
        CREATE TRIGGER corrected AFTER UPDATE ON purchases WHEN new.currency = old.currency
        BEGIN {_recounting()} END
        """,
        f"""
        CREATE TRIGGER priced AFTER UPDATE ON purchases WHEN new.currency != old.currency
        BEGIN {_OPENED} {_counting("old", "-")} {_counting("new", "+")} END
        """,
    ),
    (  # the sums are added up once before each commit: a trigger took as long as the change itself
        "DROP TRIGGER bought",
        "DROP TRIGGER taken_back",
        "DROP TRIGGER corrected",
        "DROP TRIGGER priced",
    ),
)


# -- opening --------------------------------------------------------------------------------------------------------


def open_for_writing(folder: Path) -> "LedgerConnection":
    """The folder's ledger, created where there is none and brought to the present format.

    Raises `LedgerError` where the file is damaged, foreign, made by a newer version, or cannot be written.
    """
    from pipeline.ledger.connection import LedgerConnection  # who only looks does without

    path = folder / LEDGER_NAME
    with translated(path):
        if complaint := _complaint(path):
            raise LedgerError(f"{path}: {complaint}; use another output folder")
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, factory=LedgerConnection)
        with close_on_error(connection):
            _check_readable(connection, path)
            _configure(connection)
            migrate(connection)
        return connection


def open_for_reading(folder: Path) -> sqlite3.Connection:
    """The folder's ledger as it is now, also while a run writes to it.

    Raises `UsageError` where the folder holds no batch, and `LedgerError` where its ledger cannot be read.
    """
    path = folder / LEDGER_NAME
    require_ledger(folder)
    with translated(path):
        connection = _connect_read_only(path)
        with close_on_error(connection):
            _check_readable(connection, path)
            if _version(connection) == 0:
                raise _no_batch(folder)
        return connection


def require_ledger(folder: Path) -> None:
    """Raise `UsageError` where the folder has no ledger."""
    if not (folder / LEDGER_NAME).is_file():
        raise _no_batch(folder)


def _no_batch(folder: Path) -> UsageError:
    meant = batch_beside(folder) or "; name the output folder of a run"
    return UsageError(f"{folder}: no batch here (it has no {LEDGER_NAME}){meant}")


def batch_beside(folder: Path) -> str:
    """`; did you mean outputs/shots-rehearsal?`, or nothing: a folder of nearly that name which has a ledger.

    One whose name goes on after this one's comes first: rehearsals have such names.
    """
    import difflib  # only a mistake waits for it

    name = folder.name or folder.absolute().name
    try:
        beside = sorted(one.name for one in folder.absolute().parent.iterdir() if (one / LEDGER_NAME).is_file())
    except OSError:
        return ""
    longer = [one for one in beside if one.startswith(f"{name}-")]
    near = longer or difflib.get_close_matches(name, beside, n=1)
    return f"; did you mean {folder.parent / near[0]}?" if name and near else ""


def _complaint(path: Path) -> str | None:
    """Why the file must not be written to, or None; where there is none yet, it is created.

    An existing file is never opened here: closing it again would drop SQLite's locks of this process
    (https://sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        return distrust(path.lstat(), os.geteuid())
    except FileNotFoundError:
        _create(path)
        return None


_COMPANIONS = ("-journal", "-wal", "-shm")


def _create(path: Path) -> None:
    """Put an empty ledger of the present format in its place: whole and on the disk, or not at all.

    It is made beside its place without a flush, flushed once and renamed: migrations that each wait for the disk would
    hold up the first request. What a crash leaves beside the place is thrown away by the next try. The file is for its
    owner alone; SQLite gives its companions the same permissions.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    for companion in _COMPANIONS:  # without their ledger they tell nothing, and beside another one they would lie
        path.with_name(path.name + companion).unlink(missing_ok=True)
        beside.with_name(beside.name + companion).unlink(missing_ok=True)
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with closing(sqlite3.connect(beside, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = MEMORY")
            migrate(connection)
            connection.execute("PRAGMA journal_mode = WAL")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.replace(path)
    sync_folder(path.parent)


def distrust(found: os.stat_result, user: int) -> str | None:
    """Why this user must not write to a ledger that was there already, or None.

    A link would lead out of the folder. A ledger that somebody else put there names the hosts that its tasks are asked
    about, and the API key goes to them; root, who may look after other people's folders, has to know what it opens.
    """
    if not stat.S_ISREG(found.st_mode):
        return "is a link, or no file at all"
    if user != 0 and found.st_uid not in {0, user}:
        return "belongs to another user"
    return None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, timeout=_BUSY_SECONDS, isolation_level=None, uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing.

    It is no `mode=ro`, which would leave the log's companions (`-wal`, `-shm`) behind it. Where the folder itself is
    read-only, or the disk is full to the last byte, there is no place for them at all, and SQLite wants to be told that
    nobody writes (`immutable`): a writer would have made them already. What a killed run left in the log is then out of
    reach, so that where there is any the question must wait.
    """
    target = path.absolute().as_uri()
    connection = _connect(f"{target}?mode=rw")
    try:
        connection.execute("PRAGMA query_only = ON")
        _version(connection)
    except sqlite3.OperationalError as error:
        connection.close()
        no_place = primary_code(error) in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY} or is_full(error, path)
        if no_place and _is_at_rest(path):
            return _connect(f"{target}?mode=ro&immutable=1")
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _is_at_rest(path: Path) -> bool:
    """Whether the whole ledger is in its file, and nothing of it in the log."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size == 0
    except FileNotFoundError:
        return True


@contextmanager
def close_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Close the connection where the block raises."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _configure(connection: sqlite3.Connection) -> None:
    """Durable at every commit: a task id that is forgotten in a power cut would be paid for again.

    Where the file system cannot do WAL, SQLite keeps its rollback journal: slower and just as durable.
    The log is written back by the connection that writes, between its commits, and never by a thread beside it, though
    that would spare it the wait: before SQLite 3.51.3 two connections that do both at one instant can lose a commit
    (https://sqlite.org/wal.html#walresetbug).
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS flushes to the medium only when asked this way
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA journal_size_limit = 67108864")  # bytes kept after a large enrolment
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_BYTES // page}")
    connection.execute("PRAGMA cache_size = -16384")  # KiB


# -- versions -------------------------------------------------------------------------------------------------------


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Run the migrations that are pending, each in a transaction of its own."""
    from pipeline.ledger.codec import kind_of_spec  # who only looks does without

    connection.create_function("kind_of", 1, kind_of_spec, deterministic=True)
    for number in range(_version(connection) + 1, len(migrations) + 1):
        with transaction(connection):
            if _version(connection) >= number:  # somebody else was quicker
                continue
            for statement in migrations[number - 1]:
                connection.execute(statement)
            connection.execute("UPDATE meta SET made_by = ?", (__version__,))
            connection.execute(f"PRAGMA user_version = {number}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing of it."""
    from pipeline.ledger.connection import LedgerConnection  # who only looks does without

    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        if isinstance(connection, LedgerConnection):
            connection.count()
        connection.execute("COMMIT")
    except BaseException:
        if isinstance(connection, LedgerConnection):
            connection.rolled_back()
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check_readable(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != _APPLICATION_ID:
        raise LedgerError(f"{path}: is the database of another program; use another output folder")
    if version > len(MIGRATIONS):
        made_by = _made_by(connection)
        raise LedgerError(
            f"{path}: has format {version}, made by version {made_by} of this program; the version at hand reads up to "
            f"format {len(MIGRATIONS)}. Upgrade the program, or use another output folder"
        )


def _version(connection: sqlite3.Connection) -> int:
    with closing(connection.execute("PRAGMA user_version")) as cursor:
        return int(cursor.fetchone()[0])


def has_memory(connection: sqlite3.Connection) -> bool:
    """Whether the file's format has the table `memory`: who only looks also looks at older formats, and mends none."""
    return _version(connection) >= _MEMORY_SINCE


def has_purchases(connection: sqlite3.Connection) -> bool:
    """Whether the file's format knows what attempts cost."""
    return _version(connection) >= _PURCHASES_SINCE


def has_notices(connection: sqlite3.Connection) -> bool:
    """Whether the file's format knows when the end of a task was noticed."""
    return _version(connection) >= _NOTICES_SINCE


def _made_by(connection: sqlite3.Connection) -> str:
    return str(connection.execute("SELECT made_by FROM meta").fetchone()[0])
