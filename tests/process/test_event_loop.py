"""The event loop of a real command."""

import json
import signal
import time
from typing import Any

import pytest

BROKEN = {"absent": "raise ImportError", "broken": "1 / 0", "old": "__version__ = '0.22.1'"}


def loop_told(log: str) -> str:
    """On what the run says that it runs."""
    return next(event["loop"] for event in map(json.loads, log.splitlines()) if event["event"] == "batch_started")


@pytest.mark.both_loops
def test_a_batch_is_the_same_when_it_runs_on_either_loop(lab: Any) -> None:
    """Run, again, and collect: videos, results and exit codes are the same, and the log names the loop."""
    emulator = lab.emulator()
    manifest = lab.manifest("one", "two", "a forbidden emblem", limit=2)
    first = lab.run("run", manifest, "--log-format", "json")
    assert (first.code, len(lab.results())) == (0, 2)
    again = lab.run("run", manifest, "--limit", "9", "--log-format", "json")
    assert (again.code, len(lab.results())) == (1, 3)
    collected = lab.run("collect", "outputs/shots", "-v")
    assert collected.code == 1
    assert sum(emulator.bought().values()) == 2
    wanted = "uvloop" if lab.environment["PIPELINE_EVENT_LOOP"] == "auto" else "asyncio"
    assert {loop_told(first.err), loop_told(again.err)} == {wanted}
    assert ("to submit, on uvloop" in collected.err) is (wanted == "uvloop")


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_run_goes_on_without_a_word_when_its_uvloop_is_of_no_use(lab: Any, content: str) -> None:
    """What is only there to be faster keeps nobody from their videos."""
    lab.emulator()
    (lab.path / "uvloop.py").write_text(content)
    path = f"{lab.path}:{lab.environment['PYTHONPATH']}"
    ended = lab.run("run", lab.manifest("one"), "--log-format", "json", PIPELINE_EVENT_LOOP="auto", PYTHONPATH=path)
    assert ended.code == 0
    assert loop_told(ended.err) == "asyncio"
    assert "uvloop" not in ended.err + ended.out


NOBODY_ANSWERS = """
import socket, threading
ask = socket.getaddrinfo
def never(host, *args, **kwargs):
    if host == "modelverse.invalid":
        threading.Event().wait(600)
    return ask(host, *args, **kwargs)
socket.getaddrinfo = never
"""


@pytest.mark.both_loops
@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_a_run_ends_in_time_when_no_name_server_answers(lab: Any, times: int) -> None:
    """A stop waits for its grace, and for no thread that asks for the address of the service; nothing is in doubt."""
    (lab.path / "sitecustomize.py").write_text(NOBODY_ANSWERS)
    lab.environment["PYTHONPATH"] = f"{lab.path}:{lab.environment['PYTHONPATH']}"
    lab.environment["MODELVERSE_ENDPOINT"] = "http://modelverse.invalid"
    manifest = lab.manifest("one", grace=1.0 if times == 1 else 60.0)
    process = lab.start("run", manifest, "--log-format", "json")
    assert process.wait_for(lambda event: event.get("state") == "submitting")
    asked_at = time.monotonic()
    process.send(signal.SIGTERM)
    if times == 2:
        assert process.wait_for(lambda event: event["event"] == "stopping")
        process.send(signal.SIGTERM)
    assert process.wait() == 3
    assert time.monotonic() - asked_at < 5
    assert "1 queued" in lab.run("status", "outputs/shots").out
