"""What one run learned is there for the next one, under a key of its own."""

import sqlite3
from contextlib import closing
from pathlib import Path

from pipeline.ledger import LEDGER_NAME, Ledger, LedgerReader, schema


async def test_text_comes_back_when_it_was_remembered(ledger: Ledger) -> None:
    """The newest text of a key counts, and a key that was never used has none."""
    ledger.remember("polling", "first")
    await ledger.remember("polling", '{"second": "…"}')
    assert await ledger.recall("polling") == '{"second": "…"}'
    assert await ledger.recall("poll") is None


async def test_text_is_there_when_a_later_run_or_a_reader_asks(tmp_path: Path) -> None:
    """The ledger's file keeps it."""
    async with await Ledger.open(tmp_path, run_id="r1", at=1.0) as ledger:
        ledger.remember("found", "37 slots")
    async with await Ledger.open(tmp_path, run_id="r2", at=2.0) as ledger:
        assert await ledger.recall("found") == "37 slots"
    with LedgerReader(tmp_path) as reader:
        assert reader.recall("found") == "37 slots"


def test_nothing_is_known_when_a_reader_looks_at_an_older_format(tmp_path: Path) -> None:
    """A ledger without the table is read as it is, and stays as it is."""
    with closing(sqlite3.connect(tmp_path / LEDGER_NAME, isolation_level=None)) as older:
        schema.migrate(older, schema.MIGRATIONS[:1])
    with LedgerReader(tmp_path) as reader:
        assert reader.recall("found") is None
        assert reader.last_reading() is None
        assert sum(reader.counts().values()) == 0
    with closing(sqlite3.connect(tmp_path / LEDGER_NAME)) as older:
        assert older.execute("PRAGMA user_version").fetchone() == (1,)
