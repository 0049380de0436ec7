"""Fifty kills at random moments: whatever the process was doing, the same command again goes on."""

import signal
import subprocess
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from tests.process.aftermath import finish

PROMPTS = tuple(f"wave {number:02}" for number in range(40))
KILLS = 10
"""For each seed."""


def kill_after_events(process: Any, rng: Random) -> None:
    """At a moment of the run's own choosing: the log has told so many moves."""
    process.wait_for(lambda event: event["event"] == "job_moved", times=rng.randint(1, 30))
    process.end(signal.SIGKILL)


def kill_after_a_while(process: Any, rng: Random) -> None:
    """At a moment of the clock's choosing: from the interpreter's own start to the middle of the work."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(rng.uniform(0.05, 1.0))
    process.end(signal.SIGKILL)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_or_paid_twice_when_runs_are_killed_at_random_moments(lab: Any, seed: int) -> None:
    """Ten kills and one run to the end: each job was bought once, or is unknown and was bought at most once."""
    rng = Random(seed)
    emulator = lab.emulator(speed=200)
    command = ("run", lab.manifest(*PROMPTS, concurrency=4), "--log-format", "json")
    for _ in range(KILLS):
        rng.choice((kill_after_events, kill_after_a_while))(lab.start(*command), rng)
    finish(lab, command, PROMPTS, emulator.bought)
