"""A folder that has lost its ledger."""

from pathlib import Path

import pytest

from pipeline.core.errors import LedgerError
from pipeline.ledger import RESULTS_NAME, Ledger


async def test_nothing_begins_when_results_have_lost_their_ledger(tmp_path: Path) -> None:
    """Results tell of what was paid for: without their ledger a run would pay again, so it says what is missing."""
    results = tmp_path / RESULTS_NAME
    results.write_text('{"job_id": "wave-01"}\n')
    with pytest.raises(LedgerError, match="put that back, or use another folder"):
        await Ledger.open(tmp_path, run_id="r", at=1.0)
    assert results.read_text() == '{"job_id": "wave-01"}\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == [RESULTS_NAME]


async def test_a_batch_begins_when_the_results_file_is_empty(tmp_path: Path) -> None:
    """An empty file tells of nothing."""
    (tmp_path / RESULTS_NAME).touch()
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        assert not any((await ledger.counts()).values())
