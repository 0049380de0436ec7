"""How soon a command answers, and how soon the first request of a run leaves."""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.cli import cli
from tests.benchmarks.harness import Figure, at_most, interleaved, measured, noted, publish, ratios
from tests.benchmarks.raw_service import RawService, raw_service, write_manifest

_JOBS = 10
_ROUNDS = 21
_FIRST_ROUNDS = 21
_BARE = "bare"
_GOAL = 5.0
_METHOD = (
    "Fresh processes, files in the cache, modules compiled, interleaved round by round. A command's time is the "
    "processor time of the whole process, which does nothing but compute, over that of `python -c pass` in the same "
    "round. The first request is timed by the clock, from the start of the process to its arrival at a raw server on "
    "loopback, over `python -c 'import aiohttp'` in the same round; the run has read and checked its manifest and "
    "opened its ledger by then. Manifests have ten jobs."
)


_OWN = (
    "Of what comes after importing the command line, nearly half is spent on making the package's data classes and "
    "compiling its patterns (profiled once, by processor time)."
)
_RUN = (
    "Everything that `validate` and `plan` import is needed before the first request as well. It is imported beside "
    "aiohttp in a thread of its own, but both need the one interpreter lock."
)


def main() -> None:
    with raw_service() as service, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        figures = [*_commands(folder, service), *_first_request(folder, service)]
    publish("cold_start", "Cold start", _METHOD, figures)


def _commands(folder: Path, service: RawService) -> list[Figure]:
    lines = _command_lines(folder)
    environ = service.environ()
    measured([*_pipeline(), "run", lines["validate (JSONL)"][-1], "-o", str(folder / "batch"), "-q"], environ=environ)

    def timed(command: Sequence[str]) -> Callable[[], float]:
        measured(command, environ=environ)  # compiled and cached before anything counts
        return lambda: measured(command, environ=environ).cpu

    times = interleaved({name: timed(line) for name, line in lines.items()}, _ROUNDS)
    return [_figure(name, times) for name in lines if name != _BARE] + [
        noted("the bare interpreter", [1000 * cpu for cpu in times[_BARE]], peer="", unit="ms")
    ]


def _figure(name: str, times: Mapping[str, list[float]]) -> Figure:
    found = ratios(times[name], times[_BARE])
    if name == "import click":
        return noted("importing click, the command line's library", found, peer="bare interpreter")
    remark = _OWN if statistics.median(found) > _GOAL and name != "--help" else ""
    return at_most(f"`pipeline {name}`", found, _GOAL, peer="bare interpreter", remark=remark)


def _command_lines(folder: Path) -> dict[str, list[str]]:
    jsonl = str(write_manifest(folder / "shots.jsonl", _JOBS))
    yaml = str(_as_yaml(Path(jsonl)))
    batch = str(folder / "batch")
    lines = {
        _BARE: [sys.executable, "-c", "pass"],
        "import click": [sys.executable, "-c", "import click"],
        "--help": [*_pipeline(), "--help"],
        "status": [*_pipeline(), "status", batch],
        "validate (YAML)": [*_pipeline(), "validate", yaml],
        "validate (JSONL)": [*_pipeline(), "validate", jsonl],
    }
    if "plan" in cli.commands:
        lines["plan (JSONL)"] = [*_pipeline(), "plan", jsonl, "-o", batch]
    return lines


def _first_request(folder: Path, service: RawService) -> list[Figure]:
    manifest = write_manifest(folder / "first.jsonl", _JOBS)
    environ = service.environ()

    def imported() -> float:
        return measured([sys.executable, "-c", "import aiohttp"], environ=environ).wall

    def first() -> float:
        shutil.rmtree(folder / "first", ignore_errors=True)
        service.reset()
        begun = time.monotonic()
        measured([*_pipeline(), "run", str(manifest), "-o", str(folder / "first"), "-q"], environ=environ)
        return float(service.counts()["first_at"]) - begun

    times = interleaved({"imported": imported, "first": first}, _FIRST_ROUNDS)
    found = ratios(times["first"], times["imported"])
    return [at_most("the first request of `run`", found, 1.3, peer="`import aiohttp`", remark=_RUN)]


def _pipeline() -> list[str]:
    """The installed command where there is one."""
    script = Path(sys.executable).with_name("pipeline")
    return [str(script)] if script.exists() else [sys.executable, "-m", "pipeline"]


def _as_yaml(jsonl: Path) -> Path:
    """The same jobs; a JSON object a line is YAML, too."""
    path = jsonl.with_suffix(".yaml")
    lines = "".join(f"  - {line}\n" for line in jsonl.read_text(encoding="utf-8").splitlines())
    path.write_text(f"version: 1\njobs:\n{lines}", encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
