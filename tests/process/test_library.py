"""The package from a program."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs/program.md"


def test_results_come_as_they_are_ready_when_a_program_runs_a_manifest(lab: Any) -> None:
    """The page's program does what it says, to the letter, and leaves nothing behind that Python warns about."""
    lab.manifest("camera pans left", "a forbidden emblem", "an impossible staircase")
    example = re.search(r"```python\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example
    ended = subprocess.run(
        [sys.executable, "-c", example[1]],
        cwd=lab.path,
        env=lab.environment,
        capture_output=True,
        check=True,
        text=True,
        timeout=30,
    )
    assert sorted(ended.stdout.splitlines()) == [
        "a-forbidden-emblem failed",
        "an-impossible-staircase failed",
        "camera-pans-left succeeded outputs/shots-rehearsal/videos/camera-pans-left.mp4",
    ]
    assert ended.stderr == ""
