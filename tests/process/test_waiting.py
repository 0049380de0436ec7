"""`--wait-lock`: a run waits for another one that holds its folder, and what it has checked still holds afterwards."""

import json
import os
import pty
import signal
import sqlite3
import subprocess
import time
from contextlib import ExitStack, closing
from typing import Any

import pytest

from pipeline.folder import hold
from tests.process.aftermath import check_folder
from tests.process.conftest import COMMAND

PROMPTS = tuple(f"wave {number:02}" for number in range(4))
FOLDER = "outputs/shots"
JSON = ("--log-format", "json")


def running(event: dict[str, Any]) -> bool:
    return event.get("state") == "running"


def waits(event: dict[str, Any]) -> bool:
    return event["event"] == "folder_awaited"


def test_the_second_run_goes_on_when_the_first_has_ended(lab: Any) -> None:
    """It says once that it waits and for what, then finds everything done, and nothing was paid twice."""
    emulator = lab.emulator(speed=60)
    command = ("run", lab.manifest(*PROMPTS, concurrency=2), *JSON)
    first = lab.start(*command)
    assert first.wait_for(running)
    second = lab.start(*command, "--wait-lock", "10m")
    assert second.wait_for(waits)
    assert first.wait() == 0
    assert second.wait() == 0
    told = [event for event in map(json.loads, second.log.whole().splitlines()) if waits(event)]
    assert [(event["folder"], event["seconds"]) for event in told] == [(FOLDER, 600)]
    assert b"pipeline: exit 0: 4 jobs: 4 done" in second.output.whole()
    assert emulator.bought() == dict.fromkeys(PROMPTS, 1)
    check_folder(lab, len(PROMPTS))


def test_the_second_run_collects_what_was_paid_for_when_the_first_was_killed(lab: Any) -> None:
    """A lock ends with its process, however that ends, and whoever waits takes over the batch."""
    emulator = lab.emulator(speed=60)
    command = ("run", lab.manifest(*PROMPTS, concurrency=2), *JSON)
    first = lab.start(*command)
    assert first.wait_for(running, times=2)
    second = lab.start(*command, "--wait-lock", "10m")
    assert second.wait_for(waits)
    first.end(signal.SIGKILL)
    assert second.wait() in {0, 5}  # the kill may have met a submit on its way
    assert max(emulator.bought().values()) == 1


def test_everybody_comes_to_an_end_when_three_wait_for_each_other(lab: Any) -> None:
    """Runs that begin together follow one another, and the batch is bought once."""
    emulator = lab.emulator(speed=60)
    command = ("run", lab.manifest(*PROMPTS), "--wait-lock", "10m")
    together = [lab.start(*command) for _ in range(3)]
    assert [process.wait() for process in together] == [0, 0, 0]
    assert emulator.bought() == dict.fromkeys(PROMPTS, 1)


def test_the_exit_code_is_75_when_the_wait_was_too_short(lab: Any) -> None:
    """One sentence says who holds what; unless the run is quiet, another has said before that it waits."""
    lab.emulator()
    manifest = lab.manifest("one", wait_lock="100ms")
    with hold(lab.path / FOLDER):
        quiet = lab.run("run", manifest, "-q")
        talkative = lab.run("run", manifest, "--wait-lock", "0.2s")
    still = f"pipeline: another run still holds {FOLDER} after {{}} s; wait longer with --wait-lock, or stop it with "
    still += f"SIGTERM (kill {os.getpid()})"
    assert (quiet.code, quiet.out, quiet.err.splitlines()) == (75, "", [still.format("0.1")])
    said, closing_line = talkative.err.splitlines()
    assert (talkative.code, closing_line) == (75, still.format("0.2"))
    assert said.endswith(f" another run holds {FOLDER}; waiting for it to end, for 0.2 s at most")


def test_a_person_is_told_once_when_a_terminal_waits(lab: Any) -> None:
    """What is waited for, and how long at most."""
    lab.emulator()
    manifest = lab.manifest("one")
    controller, terminal = pty.openpty()
    environment = {**lab.environment, "TERM": "xterm-256color", "COLUMNS": "200"}
    command = [*COMMAND, "run", manifest, "--wait-lock", "0.7s"]
    with hold(lab.path / FOLDER):
        code = subprocess.run(command, cwd=lab.path, env=environment, stderr=terminal, check=False).returncode
    os.close(terminal)
    seen = os.read(controller, 65_536).decode()
    os.close(controller)
    assert code == 75
    assert seen.count(f"another run holds {FOLDER}; waiting for it to end, for 0.7 s at most") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_wait_ends_at_once_when_a_signal_comes(lab: Any, number: signal.Signals) -> None:
    """Exit 3, nothing submitted, no lock left, and whoever holds the folder is not disturbed."""
    emulator = lab.emulator()
    manifest = lab.manifest("one")
    with hold(lab.path / FOLDER):
        process = lab.start("run", manifest, "--wait-lock", "10m", *JSON)
        assert process.wait_for(waits)
        asked_at = time.monotonic()
        process.send(number)
        assert process.wait() == 3
        assert time.monotonic() - asked_at < 5
        assert process.log.whole().splitlines()[-1] == b"pipeline: interrupted"
    assert lab.run("run", manifest).code == 0
    assert emulator.bought() == {"one": 1}


def test_nothing_is_submitted_when_the_manifest_is_edited_during_the_wait(lab: Any) -> None:
    """What was checked is not what would be bought: exit 2, and the same command again checks the new one."""
    emulator = lab.emulator()
    manifest = lab.manifest("one")
    with ExitStack() as other:
        other.enter_context(hold(lab.path / FOLDER))
        process = lab.start("run", manifest, "--wait-lock", "10m", *JSON)
        assert process.wait_for(waits)
        lab.manifest("one", "two")
        other.close()
        assert process.wait() == 2
    assert b"shots.yaml changed since it was checked and nothing was submitted" in process.log.whole()
    assert lab.run("run", manifest).code == 0
    assert emulator.bought() == {"one": 1, "two": 1}


def test_no_old_row_is_bought_when_a_known_manifest_is_edited_during_the_wait(lab: Any) -> None:
    """A manifest that the folder knows is not read again; what was edited in it is not wanted as it was."""
    emulator = lab.emulator()
    manifest = lab.manifest("one", "two")
    assert lab.run("run", manifest, "--limit", "1").code == 0
    bought = emulator.bought()
    with ExitStack() as other:
        other.enter_context(hold(lab.path / FOLDER))
        process = lab.start("run", manifest, "--wait-lock", "10m", *JSON)
        assert process.wait_for(waits)
        lab.manifest("one", "two", concurrency=3)
        other.close()
        assert process.wait() == 2
    assert b"shots.yaml changed since it was checked and nothing was submitted" in process.log.whole()
    assert emulator.bought() == bought


def test_the_rows_are_read_again_when_the_ledger_has_moved_on_during_the_wait(lab: Any) -> None:
    """A manifest that the folder knew before the wait is not taken for known after it."""
    emulator = lab.emulator()
    manifest = lab.manifest("one")
    assert lab.run("run", manifest).code == 0
    with ExitStack() as other:
        other.enter_context(hold(lab.path / FOLDER))
        process = lab.start("run", manifest, "--wait-lock", "10m", *JSON)
        assert process.wait_for(waits)
        with closing(sqlite3.connect(lab.path / FOLDER / "ledger.sqlite3")) as ledger, ledger:
            ledger.execute("DELETE FROM memory")
            ledger.execute("UPDATE jobs SET digest = 'other'")
        other.close()
        assert process.wait() == 2
    assert b"job one (done) is not what was enrolled" in process.log.whole()
    assert emulator.bought() == {"one": 1}


def test_nothing_is_bought_anew_when_the_folder_is_moved_during_the_wait(lab: Any) -> None:
    """An empty folder in the place of the batch would mean to pay for all of it again."""
    emulator = lab.emulator()
    manifest = lab.manifest("one")
    assert lab.run("run", manifest).code == 0
    with hold(lab.path / FOLDER):
        process = lab.start("run", manifest, "--wait-lock", "10m", *JSON)
        assert process.wait_for(waits)
        (lab.path / FOLDER).rename(lab.path / "outputs/kept")
        assert process.wait() == 3
    assert b"was moved or removed while this run waited for it" in process.log.whole()
    assert not (lab.path / FOLDER).exists()
    assert emulator.bought() == {"one": 1}
