"""How the ledger's file comes about, and which files are refused."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.core.errors import LedgerError, UsageError
from pipeline.ledger import LEDGER_NAME, RESULTS_NAME, Ledger, LedgerReader, schema


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_ledger_is_durable_and_private_when_it_is_created(tmp_path: Path) -> None:
    """A fresh ledger flushes every commit and can be read by its owner alone, its companions too."""
    previous = os.umask(0)
    try:
        with closing(schema.open_for_writing(tmp_path)) as connection:
            assert version(connection) == len(schema.MIGRATIONS)
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
            connection.execute("INSERT INTO runs VALUES ('r', 1, NULL)")
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(previous)
    assert set(modes.values()) == {0o600}
    assert f"{LEDGER_NAME}-wal" in modes


def test_log_is_written_back_at_the_same_length_when_pages_are_those_of_an_older_ledger(tmp_path: Path) -> None:
    """A new ledger has pages of 8 KiB, an older one keeps its own; the log of either grows to 32 MiB."""
    older, newer = tmp_path / "older", tmp_path / "newer"
    older.mkdir()
    with closing(sqlite3.connect(older / LEDGER_NAME)) as made:
        made.execute("PRAGMA page_size = 4096")
        schema.migrate(made)
    for folder, size in ((older, 4096), (newer, 8192)):
        with closing(schema.open_for_writing(folder)) as connection:
            (page,) = connection.execute("PRAGMA page_size").fetchone()
            (pages,) = connection.execute("PRAGMA wal_autocheckpoint").fetchone()
            assert (page, page * pages) == (size, 32 * 1024 * 1024)


def test_ledger_is_flushed_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut leaves a whole new ledger or none: its bytes are on the disk before its name is there."""
    flushed: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        flushed.append((name, (tmp_path / LEDGER_NAME).exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    schema.open_for_writing(tmp_path).close()
    assert flushed == [(f".{LEDGER_NAME}.new", False), (tmp_path.name, True)]


def test_leavings_of_a_lost_ledger_change_nothing_when_a_new_one_is_made(tmp_path: Path) -> None:
    """A log whose ledger is gone belongs to nobody: a new ledger is empty whatever lies beside it."""
    with closing(schema.open_for_writing(tmp_path)) as connection:
        connection.execute("INSERT INTO runs VALUES ('r', 1, NULL)")
        log = tmp_path / f"{LEDGER_NAME}-wal"
        left = log.read_bytes()
    for name in (f"{LEDGER_NAME}-wal", f".{LEDGER_NAME}.new-wal", f".{LEDGER_NAME}.new"):
        (tmp_path / name).write_bytes(left)
    (tmp_path / LEDGER_NAME).unlink()
    with closing(schema.open_for_writing(tmp_path)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone()[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == [LEDGER_NAME]


async def test_results_are_private_when_they_are_created(tmp_path: Path) -> None:
    """The results file is there from the beginning, for its owner alone."""
    previous = os.umask(0)
    try:
        async with await Ledger.open(tmp_path / "new" / "folder", run_id="r", at=1.0):
            pass
    finally:
        os.umask(previous)
    results = tmp_path / "new" / "folder" / RESULTS_NAME
    assert results.stat().st_mode & 0o777 == 0o600
    assert results.read_bytes() == b""


def test_nothing_changes_when_migrations_run_twice(tmp_path: Path) -> None:
    """Opening an up-to-date ledger migrates nothing."""
    with closing(schema.open_for_writing(tmp_path)) as connection:
        before = list(connection.iterdump())
    with closing(schema.open_for_writing(tmp_path)) as connection:
        assert list(connection.iterdump()) == before


def test_migration_is_still_pending_when_it_fails(connection: sqlite3.Connection) -> None:
    """A migration that fails leaves nothing behind, and runs whole once it is mended."""
    broken = (*schema.MIGRATIONS, ("CREATE TABLE extra (x)", "INSERT INTO nowhere VALUES (1)"))
    mended = (*schema.MIGRATIONS, ("CREATE TABLE extra (x)",))
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, broken)
    assert version(connection) == len(schema.MIGRATIONS)
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").fetchone()[0] == 0
    schema.migrate(connection, mended)
    assert version(connection) == len(mended)
    assert connection.execute("SELECT count(*) FROM extra").fetchone()[0] == 0


def test_newer_ledger_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    """A file of a newer version is left alone; the error says who made it and what to do."""
    with closing(schema.open_for_writing(tmp_path)) as connection:
        connection.execute("UPDATE meta SET made_by = '7.1.0'")
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    for opening in (schema.open_for_writing, schema.open_for_reading):
        with pytest.raises(LedgerError, match=r"made by version 7\.1\.0 .* Upgrade the program"):
            opening(tmp_path)


@pytest.mark.parametrize(
    "content", [b"this is no database, and long enough to be read as one" * 50, b"SQLite format 3\0?"]
)
async def test_damaged_file_is_refused_when_it_is_opened(content: bytes, tmp_path: Path) -> None:
    """A file that is no database is a clear error and is left as it is."""
    path = tmp_path / LEDGER_NAME
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="is damaged or is no ledger"):
        await Ledger.open(tmp_path, run_id="r", at=1.0)
    with pytest.raises(LedgerError, match="is damaged or is no ledger"):
        LedgerReader(tmp_path)
    assert path.read_bytes() == content


async def test_ledger_error_is_raised_when_pages_inside_are_damaged(tmp_path: Path) -> None:
    """Damage that is met only later is an answer too, and breaks the ledger."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0):
        pass
    path = tmp_path / LEDGER_NAME
    pages = path.read_bytes()
    path.write_bytes(pages[:8192] + b"\xff" * (len(pages) - 8192))
    with pytest.raises(LedgerError, match="is damaged"):
        await Ledger.open(tmp_path, run_id="r", at=1.0)


def test_foreign_database_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    """The database of another program is never migrated."""
    with closing(sqlite3.connect(tmp_path / LEDGER_NAME)) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(LedgerError, match="another program"):
        schema.open_for_writing(tmp_path)


async def test_opening_succeeds_when_a_crash_left_an_empty_file(tmp_path: Path) -> None:
    """A process that died between creating and filling the file leaves a ledger that can still be begun."""
    (tmp_path / LEDGER_NAME).touch()
    with pytest.raises(UsageError, match="no batch here"):
        LedgerReader(tmp_path)
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        assert sum((await ledger.counts()).values()) == 0


@pytest.mark.parametrize("name", [LEDGER_NAME, RESULTS_NAME])
@pytest.mark.parametrize("committer", ["thread", "inline"])
async def test_ledger_error_is_raised_when_a_directory_stands_in_the_way(
    name: str, committer: str, tmp_path: Path
) -> None:
    """Whatever the file system refuses becomes a sentence about the path."""
    (tmp_path / name).mkdir()
    with pytest.raises(LedgerError, match=name):
        await Ledger.open(tmp_path, run_id="r", at=1.0, committer=committer)  # type: ignore[arg-type] # one of the two


async def test_ledger_error_is_raised_when_the_folder_is_a_file(tmp_path: Path) -> None:
    """A folder that cannot be a folder is an answer, never a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"File exists|Not a directory"):
        await Ledger.open(tmp_path / "file", run_id="r", at=1.0)
    with pytest.raises(UsageError, match="no batch here"):
        LedgerReader(tmp_path / "file")
