"""Foreign errors become `LedgerError`s here, each a sentence that says what to do."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import LedgerError

_DAMAGED = "is damaged or is no ledger; put a backup in its place, or use another output folder"
_NOT_ALLOWED = "cannot be opened or written; check the owner and the permissions of the folder and the file"

_SENTENCES = {
    sqlite3.SQLITE_FULL: "cannot grow, because the disk is full; make room and run the same command again",
    sqlite3.SQLITE_IOERR: "cannot be read or written, because the disk reports an error",
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


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into a `LedgerError` about `path`."""
    try:
        yield
    except sqlite3.Error as error:
        sentence = _SENTENCES.get(primary_code(error), "cannot be used")
        raise LedgerError(f"{path}: {sentence} (SQLite: {error})") from error
    except OSError as error:
        raise LedgerError(f"{error.filename or path}: {error.strerror or error}") from error


def primary_code(error: sqlite3.Error) -> int:
    """The class of an SQLite error; 0 where the error did not come from SQLite itself."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY
