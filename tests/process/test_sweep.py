"""A large sweep in a real process: it streams."""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.process.conftest import COMMAND, ROOT

MORE = 2_500_000
"""Bytes by which a sweep of 6,000 jobs may be larger than one of 200: sixteen for each job, and noise."""


def sweep(path: Path, takes: int) -> None:
    """A hundred combinations, with so many takes of each."""
    values = {name: [f"{name}{number}" for number in range(10)] for name in ("time", "mood")}
    job = {
        "id": "sea-{time}-{mood}",
        "input": {"first_frame_url": "https://example.com/sea.jpg", "prompt": "the sea at {time}, {mood}"},
        "matrix": values,
        "repeat": takes,
    }
    path.write_text(yaml.safe_dump({"version": 1, "jobs": [job]}))


def peak(lab: Any, *arguments: str) -> tuple[int, str]:
    """The most memory that a command has used, in bytes, and what it printed."""
    environment = {**lab.environment, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=lab.path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout
    with process.stdout:
        printed = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, printed
    return usage.ru_maxrss * 1024, printed


def test_a_large_sweep_needs_no_more_memory_than_a_small_one(lab: Any) -> None:
    """Six thousand jobs of a few lines are planned within the memory that two hundred need."""
    sweep(lab.path / "small.yaml", 2)
    sweep(lab.path / "large.yaml", 60)
    small, _ = peak(lab, "plan", "small.yaml")
    large, printed = peak(lab, "plan", "large.yaml")
    assert "to submit: 6,000 jobs" in printed
    assert large - small < MORE


def test_a_sweep_that_explodes_is_refused_at_once(lab: Any) -> None:
    """A product of ten to the twenty is a number in a sentence, and nothing is multiplied out."""
    values = ", ".join(f"metadata.v{number}: [{', '.join(map(str, range(100)))}]" for number in range(10))
    (lab.path / "huge.yaml").write_text(
        "version: 1\njobs:\n  - id: a\n    input: {image_url: 'https://example.com/a.jpg'}\n"
        f"    matrix: {{{values}}}\n    repeat: 1000000000\n"
    )
    ended = lab.run("plan", "huge.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert "the sweeps of one manifest may make 10 million in all" in ended.err
