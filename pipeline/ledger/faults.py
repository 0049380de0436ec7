"""Foreign errors become `LedgerError`s here, each a sentence that says what to do."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import LedgerError

_DAMAGED = "is damaged or is no ledger; put a backup in its place, or use another output folder"
_NOT_ALLOWED = "cannot be opened or written; check the owner and the permissions of the folder and the file"

_SENTENCES = {
    sqlite3.SQLITE_FULL: "cannot grow, because the disk is full; make room and run the same command again",
    sqlite3.SQLITE_IOERR: (
        "cannot be read or written, because the disk reports an error; "
        "see that the disk (or the share) is well, and run the same command again"
    ),
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_READONLY: _NOT_ALLOWED,
    sqlite3.SQLITE_CANTOPEN: _NOT_ALLOWED,
    sqlite3.SQLITE_PERM: _NOT_ALLOWED,
    sqlite3.SQLITE_BUSY: "is held by another process; wait until that one has ended",
    sqlite3.SQLITE_LOCKED: "is held by another process; wait until that one has ended",
}
_PRIMARY = 0xFF
"""The low byte of an SQLite result code is the class; the rest is detail (https://sqlite.org/rescode.html)."""
_LEAST = 65_536
"""Bytes that must be free for SQLite to go on: the `-shm` file is made 32 KiB at a time."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into a `LedgerError` about `path`."""
    try:
        yield
    except sqlite3.Error as error:
        code = sqlite3.SQLITE_FULL if is_full(error, path) else primary_code(error)
        sentence = _SENTENCES.get(code, "cannot be used")
        raise LedgerError(f"{path}: {sentence} (SQLite: {error})") from error
    except OSError as error:
        raise LedgerError(f"{error.filename or path}: {error.strerror or error}") from error


def primary_code(error: sqlite3.Error) -> int:
    """The class of an SQLite error; 0 where the error did not come from SQLite itself."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY


def is_full(error: sqlite3.Error, path: Path) -> bool:
    """Whether SQLite failed because the disk under `path` has no room.

    It says so of the ledger's own pages alone. For the `-shm` file it tells only that this cannot be made larger, and
    of a flush or a cut that fails it gives no cause; there the disk is asked.
    """
    if primary_code(error) != sqlite3.SQLITE_IOERR:
        return primary_code(error) == sqlite3.SQLITE_FULL
    return error.sqlite_errorcode == sqlite3.SQLITE_IOERR_SHMSIZE or _has_no_room(path.parent)


def _has_no_room(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _LEAST
