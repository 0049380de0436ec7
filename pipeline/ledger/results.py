"""results.jsonl, schema 1: an export of the ledger, in which every line stands exactly once.

The ledger holds the lines themselves, so that a file that is made anew is equal byte for byte. It also remembers up to
which line the file surely holds them and how long the file is there; both are written in one transaction, after the
file was flushed to the disk. What a crash can leave behind, and what opening does about it:

- a line is committed and not in the file: it comes after the remembered one and is appended;
- a line is in the file, half or whole, and the file's length is not remembered yet: the bytes beyond the remembered
  length are cut and written again;
- the file is shorter than remembered, is gone, or has no line end at the remembered length (somebody touched it): it
  is made anew beside the old one, flushed and renamed;
- a crash between that rename and the remembering: lines never change and keep their order, so the new file begins with
  the very bytes that the remembered length stands for, and the second rule holds.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from pipeline.core.clock import iso
from pipeline.core.errors import LedgerError
from pipeline.core.jobs import Failure, JobState
from pipeline.ledger.codec import SentFile, bought_by, steerless, to_strict_json
from pipeline.ledger.connection import Attempt, LedgerConnection
from pipeline.ledger.faults import translated
from pipeline.ledger.purchases import Cost
from pipeline.ledger.schema import LEDGER_NAME, open_for_writing, require_ledger, sync_folder, transaction

RESULTS_NAME = "results.jsonl"

_SCHEMA = 1
SUCCEEDED = "succeeded"
_STATUS = {JobState.DONE: SUCCEEDED, JobState.FAILED: "failed", JobState.UNKNOWN: "unknown"}
_CHUNK = 1000
"""Lines that are read and written at once."""
_REMEMBER_EVERY = 1024 * 1024
"""Bytes after which the file is flushed to the disk and its length remembered: a crash costs so much rewriting at
most, and a flush for every group of commits would cost more than the commits."""


# -- one line -------------------------------------------------------------------------------------------------------


class Ending(msgspec.Struct, frozen=True):
    """How a job ended, in the columns that say so."""

    state: JobState
    failure: Failure | None = None
    report: str | None = None
    """JSON: the status answer that ended the task."""
    files: str | None = None
    """JSON: the videos on disk."""
    submitted_at: float | None = None
    """Unix seconds: when the submit was answered, or left where no answer came."""


class _Answer(msgspec.Struct):
    """What a line tells of the status answer."""

    usage: msgspec.Raw
    finish_time: float | None


_ANSWER = msgspec.json.Decoder(_Answer)
_NO_FILES = msgspec.Raw(b"[]")


class _Line(msgspec.Struct):
    """The keys in the order of the contract; JSON of the ledger's goes through as it is."""

    schema: int
    run_id: str
    job_id: str
    status: str
    attempts: int
    model: msgspec.Raw
    input: msgspec.Raw
    parameters: msgspec.Raw
    metadata: msgspec.Raw
    task_id: str | None
    request_id: str | None
    files: msgspec.Raw
    usage: msgspec.Raw | None
    cost: Cost | None
    submitted_at: str | None
    finished_at: str | None
    downloaded_at: str | None
    error: Failure | None
    source: msgspec.Raw
    local_files: tuple[SentFile, ...] | msgspec.UnsetType = msgspec.UNSET
    """Left out where the job names no file."""


def build_line(run_id: str, job_id: str, attempt: Attempt, ended: Ending, at: float, cost: Cost | None = None) -> str:
    """The results line of a job that ended at this moment (Unix seconds), without its newline.

    `attempt` is as it was before: its number, its job's `spec`, its task's id and its request's are read. `usage`
    is null where no status answer ended the task, `cost` where the attempt bought nothing or its price is not known.
    """
    bought = bought_by(attempt.spec)
    answer = _ANSWER.decode(to_strict_json(ended.report)) if ended.report else None
    line = _Line(  # by position, which takes a seventh of the time
        _SCHEMA,
        run_id,
        job_id,
        _STATUS[ended.state],
        attempt.number,
        bought.model,
        bought.input,
        bought.parameters,
        bought.metadata,
        attempt.task_id,
        attempt.request_id,
        msgspec.Raw(to_strict_json(ended.files).encode()) if ended.files else _NO_FILES,
        answer.usage if answer else None,
        cost,
        iso(ended.submitted_at),
        iso(answer.finish_time) if answer else None,
        iso(at) if ended.state is JobState.DONE else None,
        ended.failure,
        bought.source,
        bought.files or msgspec.UNSET,
    )
    return steerless(msgspec.json.encode(line).decode())


def refuse_orphans(folder: Path) -> None:
    """Raises `LedgerError` for results without their ledger.

    Starting anew there would buy again what they tell of, and overwrite them.
    """
    ledger, results = folder / LEDGER_NAME, folder / RESULTS_NAME
    if not ledger.exists() and results.is_file() and not results.is_symlink() and results.stat().st_size:
        raise LedgerError(
            f"{results} tells of an earlier batch whose {ledger.name} is gone; put that back, or use another folder"
        )


# -- the file -------------------------------------------------------------------------------------------------------

_REMEMBERED = "SELECT exported_seq, results_bytes FROM meta"
_REMEMBER = "UPDATE meta SET exported_seq = ?, results_bytes = ?"
_LINES = "SELECT seq, line FROM results WHERE seq > ? ORDER BY seq"


class ResultsFile:
    """The results file of a folder, open for appending. Raises `OSError`s and SQLite's errors as they come."""

    def __init__(self, folder: Path, connection: LedgerConnection) -> None:
        """Open the file, mend it, and bring it up to date."""
        self._path = folder / RESULTS_NAME
        self._exported_seq, self._length = connection.execute(_REMEMBERED).fetchone()
        self._remembered = self._length
        if self._length == 0 and not os.path.lexists(self._path):
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        elif not _ends_a_line(self._path, self._length):
            make_anew(folder, connection)
            self._exported_seq, self._length = connection.execute(_REMEMBERED).fetchone()
            self._remembered = self._length
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
        try:
            os.ftruncate(self._descriptor, self._length)
            self.append(connection)
            self.remember_now(connection)
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, connection: LedgerConnection) -> None:
        """Append the committed lines that the file does not hold yet.

        Those of before the opening are read; afterwards the connection keeps what it writes, and nothing is read back.
        """
        if connection.lines is None:
            self._exported_seq, written = _copy_lines(connection, self._descriptor, self._exported_seq)
            self._length += written
        elif connection.lines:
            text = "".join([f"{line}\n" for _, line in connection.lines])
            self._length += _write(self._descriptor, text.encode())
            self._exported_seq, _ = connection.lines[-1]
        connection.lines = []

    def remember_if_due(self, connection: sqlite3.Connection) -> None:
        """Inside a transaction: note how far the file has come, where enough has gathered."""
        if self._length - self._remembered >= _REMEMBER_EVERY:
            self._remember(connection)

    def remember_now(self, connection: sqlite3.Connection) -> None:
        """In a transaction of its own: note how far the file has come."""
        if self._length != self._remembered:
            with transaction(connection):
                self._remember(connection)

    def _remember(self, connection: sqlite3.Connection) -> None:
        os.fsync(self._descriptor)
        connection.execute(_REMEMBER, (self._exported_seq, self._length))
        self._remembered = self._length

    def close(self) -> None:
        """Close the file; what is not remembered is written again by the next opening."""
        os.close(self._descriptor)


def rebuild(folder: Path) -> int:
    """Make results.jsonl anew from the ledger and return its length in bytes. Needs the folder's lock.

    Raises `UsageError` where the folder holds no batch, and `LedgerError` where it cannot be read or written.
    """
    require_ledger(folder)
    with closing(open_for_writing(folder)) as connection, translated(folder / RESULTS_NAME):
        return make_anew(folder, connection)


def make_anew(folder: Path, connection: sqlite3.Connection) -> int:
    """Write the whole file beside the old one, put it in its place, and return its length in bytes."""
    path = folder / RESULTS_NAME
    beside = folder / f".{RESULTS_NAME}.new"
    beside.unlink(missing_ok=True)  # whatever lies here, a link included, is not written through
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        last, length = _copy_lines(connection, descriptor, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.replace(path)
    sync_folder(folder)
    with transaction(connection):
        connection.execute(_REMEMBER, (last, length))
    return length


def _copy_lines(connection: sqlite3.Connection, descriptor: int, after: int) -> tuple[int, int]:
    """Write the lines after `after`; returns the last one's number and how many bytes that made."""
    last, written = after, 0
    with closing(connection.execute(_LINES, (after,))) as cursor:
        while rows := cursor.fetchmany(_CHUNK):
            written += _write(descriptor, "".join(f"{row['line']}\n" for row in rows).encode())
            last = rows[-1]["seq"]
    return last, written


def _write(descriptor: int, content: bytes) -> int:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return len(content)


def _ends_a_line(path: Path, length: int) -> bool:
    """Whether the file is there, long enough, and has a line end at this length.

    A link or a pipe under its name is no such file: what it leads to is neither read nor written.
    """
    try:
        if path.is_symlink() or path.is_fifo():
            return False
        with path.open("rb") as file:
            if length == 0:
                return True
            file.seek(length - 1)
            return file.read(1) == b"\n"
    except FileNotFoundError:
        return False
