"""How soon a command answers, and how soon the first request of a run leaves."""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.cli.grammar import cli
from tests.benchmarks.harness import Figure, at_most, interleaved, measured, noted, publish, ratios
from tests.benchmarks.raw_service import RawService, raw_service, write_manifest

_JOBS = 10
_ROUNDS = 21
_FIRST_ROUNDS = 11
_BARE = "bare"
_GOAL = 5.0
_METHOD = (
    "Fresh processes, files in the cache, modules compiled, interleaved round by round. A command's time is the "
    "processor time of the whole process, which does nothing but compute, over that of `python -c pass` in the same "
    "round. A library's time is that of a process that imports it and, as the commands do, neither looks for garbage "
    "nor takes the interpreter apart at its end. The first request is timed by the clock, from the start of the "
    "process to its arrival at a raw server on loopback, over `python -c 'import aiohttp'` in the same round; the run "
    "has read and checked its manifest and opened its ledger by then. Manifests have ten jobs with ids and URLs of "
    "public hosts; without ids, a check hashes what each job buys, and OpenSSL is loaded for that. The commands are "
    "called with what they look at and nothing else, as people do: then they need no parser of command lines (click), "
    "and keep `typing_extensions` out, which a plain import of msgspec brings in where it is installed. The folder of "
    "the first plan has no ledger yet; the second has an option, for which it needs the parser, and reads a ledger."
)
_IMPORTS = {
    "click": "click",
    "msgspec": "msgspec",
    "msgspec and PyYAML": "msgspec, yaml",
    "msgspec, SQLite, OpenSSL's hashes, json and pathlib": "msgspec, sqlite3, hashlib, json, pathlib",
}
"""What help, `validate` and `plan` are made with, in this order; with click alone all of them have a parser."""
_OWN = "The rest is thinly spread over some fifty modules of the package."
_RUN = (
    "A run imports its HTTP client in a thread, alone until OpenSSL reads the certificates, and everything else "
    "meanwhile; that takes a second core. By processor time, 0.20 s pass before the request leaves, against 0.13 s of "
    "importing aiohttp (profiled once). The row below has the same with the folder in memory, where no ledger waits "
    "for a disk."
)
_MEMORY = Path("/dev/shm")  # a folder is made in it by tempfile


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
    if name in _IMPORTS:
        return noted(f"importing {name}", found, peer="bare interpreter")
    remark = _OWN if statistics.median(found) > _GOAL else ""
    return at_most(f"`pipeline {name}`", found, _GOAL, peer="bare interpreter", remark=remark)


def _command_lines(folder: Path) -> dict[str, list[str]]:
    jsonl = str(write_manifest(folder / "shots.jsonl", _JOBS))
    yaml = str(_as_yaml(Path(jsonl)))
    batch = str(folder / "batch")
    lines = {
        _BARE: [sys.executable, "-c", "pass"],
        **{name: [sys.executable, "-c", _importing(modules)] for name, modules in _IMPORTS.items()},
        "--help": [*_pipeline(), "--help"],
        "status": [*_pipeline(), "status", batch],
        "validate (YAML)": [*_pipeline(), "validate", yaml],
        "validate (JSONL)": [*_pipeline(), "validate", jsonl],
    }
    if "plan" in cli.commands:
        lines["plan (JSONL)"] = [*_pipeline(), "plan", jsonl]
        lines["plan (JSONL), with -o and a ledger"] = [*_pipeline(), "plan", jsonl, "-o", batch]
    return lines


def _importing(modules: str) -> str:
    return f"import gc, os; gc.disable(); import {modules}; os._exit(0)"


def _first_request(folder: Path, service: RawService) -> list[Figure]:
    manifest = write_manifest(folder / "first.jsonl", _JOBS)
    environ = service.environ()

    def imported() -> float:
        return measured([sys.executable, "-c", "import aiohttp"], environ=environ).wall

    def first(output: Path) -> float:
        shutil.rmtree(output, ignore_errors=True)
        service.reset()
        begun = time.monotonic()
        measured([*_pipeline(), "run", str(manifest), "-o", str(output), "-q"], environ=environ)
        return float(service.counts()["first_at"]) - begun

    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as memory:
        variants = {
            "imported": imported,
            "first": lambda: first(folder / "first"),
            "in memory": lambda: first(Path(memory) / "first"),
        }
        times = interleaved(variants, _FIRST_ROUNDS)
    found = {name: ratios(times[name], times["imported"]) for name in ("first", "in memory")}
    figures = [at_most("the first request of `run`", found["first"], 1.3, peer="`import aiohttp`", remark=_RUN)]
    if _MEMORY.is_dir():
        figures.append(noted("…its folder in memory", found["in memory"], peer="`import aiohttp`"))
    return figures


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
