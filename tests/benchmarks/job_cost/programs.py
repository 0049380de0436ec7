"""The programs that are compared, each as a command that sees the same jobs to their videos."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.event_loop import loop_factory
from tests.benchmarks.harness import Cost, instructions, measured
from tests.benchmarks.peers.raw_server import VIDEO_BYTES
from tests.benchmarks.raw_service import RawService, write_manifest

CONCURRENCY = 50
_PEERS = Path(__file__).parents[1] / "peers"
_EVERY = 0.1
"""Seconds between two questions of the scripts: the least that the product's schedule leaves between two."""

_SOON = "0.02"
"""Seconds: the mean lag that the product is to aim at, so that three questions pass as soon as its schedule allows."""

Command = Callable[[Path, Path, RawService], list[str]]
"""The command line for a manifest, an empty folder and the service."""


def _product(*more: str) -> Command:
    def command(manifest: Path, folder: Path, _service: RawService) -> list[str]:
        options = ["--concurrency", str(CONCURRENCY), "--pollers", "16", "--downloads", "16", "--progress", "none"]
        run = [sys.executable, "-m", "pipeline", "run", str(manifest), "-o", str(folder / "batch")]
        return [*run, *options, "-q", *more]

    return command


def _script(name: str) -> Command:
    def command(manifest: Path, folder: Path, service: RawService) -> list[str]:
        options = ["--concurrency", str(CONCURRENCY), "--every", str(_EVERY)]
        return [sys.executable, str(_PEERS / name), str(manifest), str(folder / "batch"), service.base_url, *options]

    return command


def _bare(*options: str) -> Command:
    def command(manifest: Path, _folder: Path, service: RawService) -> list[str]:
        script = str(_PEERS / "bare_requests.py")
        return [sys.executable, script, str(manifest), service.base_url, "--concurrency", str(CONCURRENCY), *options]

    return command


def _hashing(manifest: Path, _folder: Path, _service: RawService) -> list[str]:
    jobs = len(manifest.read_bytes().splitlines())
    code = f"import hashlib\nvideo = bytes({VIDEO_BYTES})\nfor _ in range({jobs}): hashlib.sha256(video).hexdigest()"
    return [sys.executable, "-c", code]


PRODUCT = "product"
ON_UVLOOP = "product on uvloop"
NO_REPORT = "product, no report"
NAIVE = "naive"
COOKBOOK = "cookbook"
BARE = "bare"
BARE_KEPT = "bare, kept alive"
HASHING = "hashing"

PROGRAMS: dict[str, Command] = {
    PRODUCT: _product(),
    ON_UVLOOP: _product(),
    NO_REPORT: _product("--no-report"),
    NAIVE: _script("naive_gather.py"),
    COOKBOOK: _script("cookbook_dispatcher.py"),
    BARE: _bare("--close"),
    BARE_KEPT: _bare(),
    HASHING: _hashing,
}


def _environ(name: str, service: RawService) -> Mapping[str, str]:
    """Every program is on Python's own event loop, but for the one that says otherwise."""
    if name != ON_UVLOOP:
        return service.environ(PIPELINE_POLL_LAG=_SOON)
    if loop_factory("auto") is None:
        raise RuntimeError("uvloop is to be measured and cannot be used: pip install '.[fast]'")
    return service.environ(PIPELINE_POLL_LAG=_SOON, PIPELINE_EVENT_LOOP="auto")


@contextmanager
def prepared(name: str, jobs: int, service: RawService) -> Iterator[list[str]]:
    """The command of a program for so many jobs, in a folder of its own that goes with the block."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        yield PROGRAMS[name](write_manifest(folder / "jobs.jsonl", jobs), folder, service)


def counted(name: str, jobs: int, service: RawService) -> int:
    """User-space instructions of a whole run."""
    with prepared(name, jobs, service) as command:
        return instructions(command, environ=_environ(name, service))


def timed(name: str, jobs: int, service: RawService) -> Cost:
    """A whole run by the clock."""
    with prepared(name, jobs, service) as command:
        return measured(command, environ=_environ(name, service))
