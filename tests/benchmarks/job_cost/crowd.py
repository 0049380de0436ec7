"""What five hundred running tasks cost while nothing else happens."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.raw_service import RawService, raw_service, write_manifest

TASKS = 500
_LIFE = ("50", "100")
"""Seconds; the shortest is longer than what is watched, so that no task is replaced meanwhile."""
_WATCHED = 30.0
_SETTLED = 5.0
"""Seconds after the last submit before the watch begins."""
_PEERS = Path(__file__).parents[1] / "peers"
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Watched:
    """What a program did in the time that was watched."""

    share: float
    """Of a core, in percent."""
    questions: float
    """A second."""


def watch_product() -> Watched:
    """The product at default settings, but for the number of slots."""
    with raw_service("--life", *_LIFE) as service, tempfile.TemporaryDirectory() as place:
        manifest = write_manifest(Path(place) / "jobs.jsonl", TASKS)
        options = ["-o", f"{place}/batch", "--concurrency", str(TASKS), "--progress", "none", "-q"]
        return _watched([sys.executable, "-m", "pipeline", "run", str(manifest), *options], service)


def watch_naive() -> Watched:
    """The gathered script, asking every second."""
    with raw_service("--life", *_LIFE) as service, tempfile.TemporaryDirectory() as place:
        manifest = write_manifest(Path(place) / "jobs.jsonl", TASKS)
        options = [str(manifest), f"{place}/batch", service.base_url, "--concurrency", str(TASKS), "--every", "1"]
        return _watched([sys.executable, str(_PEERS / "naive_gather.py"), *options], service)


def _watched(command: list[str], service: RawService) -> Watched:
    with subprocess.Popen(command, env=service.environ(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
        try:
            while service.counts()["submit"] < TASKS:
                if one.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)}: exit {one.returncode} before every job was submitted")
                time.sleep(0.1)
            time.sleep(_SETTLED)
            service.reset()
            begun, before = time.monotonic(), _cpu_seconds(one.pid)
            time.sleep(_WATCHED)
            spent, passed = _cpu_seconds(one.pid) - before, time.monotonic() - begun
            return Watched(100 * spent / passed, service.counts()["status"] / passed)
        finally:
            one.kill()


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (`man 5 proc`, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
