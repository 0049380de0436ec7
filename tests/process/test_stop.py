"""Signals and kills: what was begun is on record, and the same command again finishes it without paying twice."""

import json
import signal
import threading
import time
from collections import Counter
from typing import Any

import pytest

from pipeline.ledger import LedgerReader
from tests.process.aftermath import finish
from tests.process.conftest import PATIENCE
from tests.process.double import Double, honest, make_video

PROMPTS = tuple(f"wave {number:02}" for number in range(5))


def running(event: dict[str, Any]) -> bool:
    return event.get("state") == "running"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_ends_in_good_order_when_it_is_asked_to(lab: Any, number: signal.Signals) -> None:
    """One signal: exit 3 well within ten seconds, and the next run collects what was paid for before it buys more."""
    emulator = lab.emulator(speed=40)
    command = ("run", lab.manifest(*PROMPTS, concurrency=3), "--log-format", "json")
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
    assert emulator.bought() == dict.fromkeys(PROMPTS, 1)
    assert sorted(line["attempts"] for line in lab.results()) == [1] * 5


@pytest.mark.both_loops
@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)],
)
def test_a_run_ends_at_once_when_it_is_told_twice(lab: Any, first: signal.Signals, second: signal.Signals) -> None:
    """The first signal leaves an outstanding answer its grace; the second does not, and that job is unknown."""
    with Double(honest(make_video(20_000))) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        accept, taken = double.submit, threading.Event()

        def silent_at_the_second(handler: Any) -> None:
            if not double.bought():
                accept(handler)
            else:
                taken.set()
                handler.server.closing.wait()

        double.submit = silent_at_the_second
        process = lab.start("run", lab.manifest("one", "two", "three", concurrency=1), "--log-format", "json")
        assert taken.wait(PATIENCE)
        process.send(first)
        assert process.wait_for(lambda event: event["event"] == "stopping")
        asked_at = time.monotonic()
        process.send(second)
        assert process.wait() == 3
        assert time.monotonic() - asked_at < 4
        assert f"stopped early: {first.name} received" in process.output.whole().decode()
        with LedgerReader(lab.path / "outputs/shots") as reader:
            assert [unknown.record.job.job_id for unknown in reader.unknown()] == ["two"]
        assert double.bought() == {"one": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("point", ["closing", "closed"])
def test_a_run_says_its_last_words_when_a_signal_comes_after_its_last_job(
    lab: Any, point: str, number: signal.Signals
) -> None:
    """There is nothing to stop any more: the exit code is the run's, and the folder is closed in good order."""
    lab.emulator()
    ended = lab.disturb(point, number, "run", lab.manifest("wave"), "-q")
    assert (ended.code, "exit 0: 1 jobs: 1 done" in ended.last) == (0, True), ended.out + ended.err
    assert not list((lab.path / "outputs/shots").glob("ledger.sqlite3-*"))


@pytest.mark.both_loops
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


def test_the_second_run_is_turned_away_when_two_want_one_folder(lab: Any) -> None:
    """The one that came first goes on undisturbed; the other says so, exit 75; a killed run leaves no lock behind."""
    emulator = lab.emulator(speed=60)
    command = ("run", lab.manifest(*PROMPTS[:3], concurrency=2), "--log-format", "json")
    first = lab.start(*command)
    assert first.wait_for(running)
    second = lab.run(*command)
    stop_it = f"stop it with SIGTERM (kill {first.pid})"
    busy = f"pipeline: another run holds outputs/shots; wait for it, or {stop_it}\n"
    assert (second.code, second.out, second.err) == (75, "", busy)
    assert first.wait_for(running)
    first.end(signal.SIGKILL)
    finish(lab, command, PROMPTS[:3], emulator.bought)


def test_one_run_buys_everything_when_three_begin_together(lab: Any) -> None:
    """Whoever gets the folder runs the whole batch; nobody else submits anything."""
    emulator = lab.emulator(speed=60)
    command = ("run", lab.manifest(*PROMPTS[:4]))
    together = [lab.start(*command) for _ in range(3)]
    assert sorted(process.wait() for process in together) == [0, 75, 75]
    assert emulator.bought() == dict.fromkeys(PROMPTS[:4], 1)
