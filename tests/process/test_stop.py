"""Signals and kills: what was begun is on record, and the same command again finishes it without paying twice."""

import json
import signal
import time
from collections import Counter
from random import Random
from typing import Any

import pytest

from pipeline.core.jobs import JobState
from pipeline.ledger import LedgerReader

PROMPTS = tuple(f"wave {number:02}" for number in range(12))


def running(event: dict[str, Any]) -> bool:
    return event.get("state") == "running"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_ends_in_good_order_when_it_is_asked_to(lab: Any, number: signal.Signals) -> None:
    """One signal: exit 3 well within ten seconds, and the next run collects what was paid for before it buys more."""
    emulator = lab.emulator(speed=40)
    command = ("run", lab.manifest(*PROMPTS[:5], concurrency=3), "--log-format", "json")
    process = lab.start(*command)
    assert process.wait_for(running, times=3)
    asked_at = time.monotonic()
    process.send(number)
    assert process.wait() == 3
    assert time.monotonic() - asked_at < 8
    assert f"stopped early: {number.name} received" in process.output.whole().decode()
    again = lab.start(*command)
    assert again.wait() == 0
    first = next(event for event in map(json.loads, again.log.whole().splitlines()) if event["event"] == "job_moved")
    assert (first["state"], first["attempt"]) in {("fetching", 1), ("submitting", 1)}
    assert emulator.bought() == dict.fromkeys(PROMPTS[:5], 1)
    assert sorted(line["attempts"] for line in lab.results()) == [1] * 5


def test_a_run_ends_at_once_when_it_is_told_twice(lab: Any) -> None:
    """The first signal leaves an outstanding answer its grace; the second does not, and that job is unknown."""
    emulator = lab.emulator(trouble=[{"at": "submit", "do": "slow", "nth": [2], "seconds": 20, "accepted": True}])
    process = lab.start("run", lab.manifest("one", "two", "three", concurrency=1), "--log-format", "json")
    assert process.wait_for(lambda event: event.get("job_id") == "two" and event["state"] == "submitting")
    process.send(signal.SIGTERM)
    assert process.wait_for(lambda event: event["event"] == "stopping")
    asked_at = time.monotonic()
    process.send(signal.SIGTERM)
    assert process.wait() == 3
    assert time.monotonic() - asked_at < 4
    with LedgerReader(lab.path / "outputs/shots") as reader:
        assert [unknown.record.job.job_id for unknown in reader.unknown()] == ["two"]
    assert "three" not in emulator.bought()


def test_nothing_is_lost_or_paid_twice_when_a_run_is_killed_again_and_again(lab: Any) -> None:
    """Eight kills at any moment, then the same command: every job ends, unknown ones wait, nothing was bought again."""
    emulator = lab.emulator(speed=100)
    rng = Random(7)
    command = ("run", lab.manifest(*PROMPTS, concurrency=4), "--log-format", "json")
    for _ in range(8):
        process = lab.start(*command)
        process.wait_for(lambda event: event["event"] == "job_moved", times=rng.randint(1, 9))
        process.end(signal.SIGKILL)
    ended = lab.run(*command)
    bought = emulator.bought()
    with LedgerReader(lab.path / "outputs/shots") as reader:
        unknown = {found.record.job.input["prompt"] for found in reader.unknown()}
        assert reader.counts()[JobState.DONE] == len(PROMPTS) - len(unknown)
    assert ended.code == (5 if unknown else 0)
    assert all(bought[prompt] == 1 for prompt in PROMPTS if prompt not in unknown)
    assert all(bought[prompt] <= 1 for prompt in unknown)
    assert all(f"{prompt.replace(' ', '-')}, sent " in lab.run("status", "outputs/shots").out for prompt in unknown)

    assert lab.run(*command, "--resubmit-unknown").code == 0
    assert all(emulator.bought()[prompt] <= 1 + (prompt in unknown) for prompt in PROMPTS)
    assert lab.run("verify", "outputs/shots").out == "outputs/shots: 12 files checked, 0 differ from the record\n"
    ends = Counter((line["job_id"], line["attempts"]) for line in lab.results())
    assert set(ends.values()) == {1}
    assert len(ends) == len(PROMPTS) + len(unknown)
    assert Counter(line["status"] for line in lab.results()) == Counter(succeeded=12, unknown=len(unknown))


def test_a_rehearsal_goes_on_when_it_was_killed(lab: Any) -> None:
    """The emulator inside dies with the run and comes back with every task."""
    scenario = lab.path / "calm.yaml"
    scenario.write_text("clips: tiny\n")
    manifest = lab.manifest(*PROMPTS[:4])
    command = ("run", manifest, "--rehearse", "--speed", 50, "--scenario", scenario, "--log-format", "json")
    process = lab.start(*command)
    assert process.wait_for(running, times=2)
    process.end(signal.SIGKILL)
    ended = lab.run(*command)
    assert ended.code in {0, 5}
    folder = lab.path / "outputs/shots-rehearsal"
    lines = (folder / ".emulator/tasks.jsonl").read_text().splitlines()
    assert max(Counter(json.loads(line)["prompt"] for line in lines).values()) == 1
