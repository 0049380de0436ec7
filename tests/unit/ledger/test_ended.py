"""What the ledger tells those who follow the ends of jobs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.core.jobs import JobState
from pipeline.ledger import Ledger, LedgerReader
from tests.unit.ends import done, failed, lost, submitted


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """Of the folder `tmp_path`."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as opened:
        yield opened


async def test_lines_come_after_a_cursor_when_jobs_have_ended(ledger: Ledger, tmp_path: Path) -> None:
    """In the order of the ends, as they stand in the results file, no more than asked for."""
    with LedgerReader(tmp_path) as reader:
        assert (reader.last_line(), reader.lines(0, 10)) == (0, [])
    for name in ("a", "b", "c"):
        await done(ledger, tmp_path, name)
    with LedgerReader(tmp_path) as reader:
        assert reader.last_line() == 3
        found = reader.lines(1, 1)
    assert [(number, json.loads(line)["job_id"]) for number, line in found] == [(2, "b")]
    assert found[0][1] == (tmp_path / "results.jsonl").read_text().splitlines()[1]


async def test_ends_are_counted_when_they_come_after_a_cursor(ledger: Ledger, tmp_path: Path) -> None:
    """By how the jobs stand now; what ended before the cursor is not counted."""
    await done(ledger, tmp_path, "before")
    await done(ledger, tmp_path, "a")
    await failed(ledger, "b")
    await lost(ledger, "c")
    await submitted(ledger, "d")
    with LedgerReader(tmp_path) as reader:
        assert reader.ended_counts(1) == {JobState.DONE: 1, JobState.FAILED: 1, JobState.UNKNOWN: 1}
        assert reader.ended_counts(4) == {}
        assert [(number, story.record.job.job_id) for number, story in reader.ended(1)] == [
            (2, "a"),
            (3, "b"),
            (4, "c"),
        ]


async def test_an_end_is_not_followed_when_another_attempt_is_under_way(ledger: Ledger, tmp_path: Path) -> None:
    """A line of an earlier attempt says nothing about how the job stands."""
    await failed(ledger, "a")
    await ledger.retry_failed(None, 200.0)
    await ledger.intent("a", base_url="https://api.example.com", body_digest="b", at=201.0)
    with LedgerReader(tmp_path) as reader:
        assert list(reader.ended(0)) == []


async def test_a_story_is_told_when_a_job_is_named(ledger: Ledger, tmp_path: Path) -> None:
    """All that is known of one job; nothing of one that is not enrolled."""
    await done(ledger, tmp_path, "a")
    with LedgerReader(tmp_path) as reader:
        story = reader.story("a")
        assert reader.story("b") is None
    assert story is not None
    assert (story.intent_at, story.noticed_at, story.moved_at) == (100.0, 164.0, 168.0)
    assert story.cost is not None
    assert (story.cost.amount, story.cost.estimated) == ("0.75", False)
