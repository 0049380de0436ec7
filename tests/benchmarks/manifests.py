"""How fast manifests are read and checked, beside readers that do nothing else, and in how much memory."""

import csv
import json
import random
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
import yaml

from pipeline.manifest import open_manifest
from tests.benchmarks.harness import Figure, at_least, at_most, interleaved, measured, noted, publish, ratios

ROWS = 100_000
"""Of the files that are compared row by row; the cost of a row does not depend on how many there are."""
MANY = 1_000_000
FEW = 10_000
YAML_JOBS = 10_000
MANY_YAML_JOBS = 100_000
ROUNDS = 7
YAML_ROUNDS = 3
WHOLE_ROUNDS = 3
"""Of the files with as many rows as the goals name."""
_WORDS = tuple("the surfer waves at the camera while a slow wide shot of the coast drifts over dunes".split())  # noqa: SIM905  # a sentence is easier to read than a list of its words


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = _Files(Path(folder))
        figures = [*_csv(files), *_jsonl(files), *_yaml(files)]
        figures += [*_whole(files), *_memory(files), *_first_job(files)]
    publish(
        "manifests",
        "Manifests",
        f"Rows of Wan2.2-I2V with id, picture, a prompt of 14 words, resolution and one metadata value, in files of "
        f"{ROWS:,} rows (CSV, JSONL) and {YAML_JOBS:,} jobs (YAML) where no other number is named. `check` is "
        "`Manifest.check()`: read, typed, every field checked, ids and outputs compared; `jobs` is the second pass "
        "that makes the jobs with their digests. Ratios are of CPU time in one process, variants interleaved. Memory "
        "is the peak of a process that runs both passes.",
        figures,
    )


# -- files


class _Files:
    """The manifests, written when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def named(self, kind: str, rows: int, *, ids: bool = True) -> Path:
        """The file of so many rows."""
        path = self._folder / f"{rows}-{ids}.{kind}"
        if not path.exists():
            write = {"csv": _csv_lines, "jsonl": _jsonl_lines, "yaml": _yaml_lines}[kind]
            with path.open("w", encoding="utf-8") as stream:
                stream.writelines(write(_rows(rows), ids))
        return path


Row = tuple[str, str, str, str, int]


def _rows(number: int) -> Iterator[Row]:
    """Id, picture, prompt, resolution and shot."""
    draw = random.Random(1)
    for position in range(number):
        prompt = " ".join(draw.choices(_WORDS, k=14))
        url = f"https://pictures.example.com/set-{position % 97}/frame-{position:07}.jpg"
        yield f"shot-{position:07}", url, prompt, draw.choice(("480P", "720P")), position


def _csv_lines(rows: Iterable[Row], ids: bool) -> Iterator[str]:
    yield f"{'id,' if ids else ''}image_url,prompt,resolution,metadata.shot\n"
    for job_id, url, prompt, resolution, shot in rows:
        yield f"{job_id + ',' if ids else ''}{url},{prompt},{resolution},{shot}\n"


def _jsonl_lines(rows: Iterable[Row], _ids: bool) -> Iterator[str]:
    for job_id, url, prompt, resolution, shot in rows:
        sections = {"input": {"image_url": url, "prompt": prompt}, "parameters": {"resolution": resolution}}
        yield json.dumps({"id": job_id, **sections, "metadata": {"shot": shot}}) + "\n"


def _yaml_lines(rows: Iterable[Row], _ids: bool) -> Iterator[str]:
    yield "version: 1\ndefaults:\n  parameters: {resolution: 480P}\njobs:\n"
    for job_id, url, prompt, resolution, shot in rows:
        yield f"  - id: {job_id}\n    input:\n      image_url: {url}\n      prompt: {prompt}\n"
        yield f"    parameters:\n      resolution: {resolution}\n    metadata:\n      shot: {shot}\n"


# -- readers


def _check(path: Path) -> None:
    with open_manifest(path) as manifest:
        manifest.check()


def _jobs(path: Path) -> None:
    with open_manifest(path) as manifest:
        _drain(manifest.jobs())


def _csv_reader(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as stream:
        _drain(csv.reader(stream))


def _dict_reader(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as stream:
        _drain(csv.DictReader(stream))


def _json_loads(path: Path) -> None:
    with path.open(encoding="utf-8") as stream:
        _drain(map(json.loads, stream))


def _msgspec(path: Path) -> None:
    with path.open("rb") as stream:
        _drain(map(msgspec.json.Decoder().decode, stream))


def _safe_load(path: Path) -> None:
    with path.open(encoding="utf-8") as stream:
        yaml.load(stream, Loader=yaml.CSafeLoader)


def _drain(items: Iterable[object]) -> None:
    deque(items, maxlen=0)


def _compared(readers: Mapping[str, Callable[[Path], None]], path: Path, rounds: int) -> dict[str, list[float]]:
    """CPU seconds by reader; the first run of each, which imports and warms up, is not counted."""

    def timed(read: Callable[[Path], None]) -> float:
        begun = time.process_time()
        read(path)
        return time.process_time() - begun

    found = interleaved({name: lambda read=read: timed(read) for name, read in readers.items()}, rounds + 1)
    return {name: samples[1:] for name, samples in found.items()}


# -- figures


def _csv(files: _Files) -> list[Figure]:
    readers = {"floor": _csv_reader, "dict": _dict_reader, "check": _check, "jobs": _jobs}
    took = _compared(readers, files.named("csv", ROWS), ROUNDS)
    without = _compared({"floor": _csv_reader, "check": _check}, files.named("csv", ROWS, ids=False), ROUNDS)
    return [
        at_most("CSV: check", ratios(took["check"], took["floor"]), 3, peer="`csv.reader`, iterating alone"),
        noted("CSV: check", ratios(took["check"], took["dict"]), peer="`csv.DictReader`, iterating alone"),
        noted(
            "CSV: check of rows without ids",
            ratios(without["check"], without["floor"]),
            peer="`csv.reader`, iterating alone",
            remark="A row without an id is known by a SHA-256 of what it buys, which costs more than reading it.",
        ),
        noted("CSV: jobs", ratios(took["jobs"], took["floor"]), peer="`csv.reader`, iterating alone"),
        noted("CSV: check, a row", _micros(took["check"], ROWS), peer="", unit="µs"),
    ]


def _jsonl(files: _Files) -> list[Figure]:
    readers = {"loads": _json_loads, "floor": _msgspec, "check": _check, "jobs": _jobs}
    took = _compared(readers, files.named("jsonl", ROWS), ROUNDS)
    return [
        at_most("JSONL: check", ratios(took["check"], took["loads"]), 3, peer="`json.loads` of each line"),
        noted(
            "JSONL: check",
            ratios(took["check"], took["floor"]),
            peer="`msgspec.json.decode` of each line",
            remark="The rows are decoded by msgspec, too; it does not see a name that is given twice, and laying "
            "decoded rows side by side takes longer than decoding them.",
        ),
        noted("JSONL: jobs", ratios(took["jobs"], took["loads"]), peer="`json.loads` of each line"),
        noted("JSONL: check, a row", _micros(took["check"], ROWS), peer="", unit="µs"),
    ]


def _yaml(files: _Files) -> list[Figure]:
    readers = {"load": _safe_load, "check": _check, "jobs": _jobs}
    took = _compared(readers, files.named("yaml", YAML_JOBS), YAML_ROUNDS)
    return [
        at_least(
            "YAML: check, with the line of every key, jobs a second",
            ratios(took["load"], took["check"]),
            3.5,
            peer="`yaml.load(CSafeLoader)`",
        ),
        noted("YAML: jobs, jobs a second", ratios(took["load"], took["jobs"]), peer="`yaml.load(CSafeLoader)`"),
        noted("YAML: check, a job", _micros(took["check"], YAML_JOBS), peer="", unit="µs"),
    ]


def _whole(files: _Files) -> list[Figure]:
    """The same at the sizes that the goals name."""
    figures = []
    for kind, floor, words in (
        ("csv", _csv_reader, "`csv.reader`, iterating alone"),
        ("jsonl", _json_loads, "`json.loads` of each line"),
    ):
        took = _compared({"floor": floor, "check": _check}, files.named(kind, MANY), WHOLE_ROUNDS)
        claim = f"{kind.upper()} of {MANY:,} rows: check"
        figures += [
            at_most(claim, ratios(took["check"], took["floor"]), 3, peer=words),
            noted(claim, took["check"], peer="alone", unit="s"),
        ]
    path = files.named("yaml", MANY_YAML_JOBS)
    took = _compared({"load": _safe_load, "check": _check}, path, 1)
    figures.append(
        at_least(
            f"YAML of {MANY_YAML_JOBS:,} jobs: check, jobs a second",
            ratios(took["load"], took["check"]),
            3.5,
            peer="`yaml.load(CSafeLoader)`",
        )
    )
    return figures


def _micros(samples: Iterable[float], rows: int) -> list[float]:
    return [sample / rows * 1e6 for sample in samples]


_BOTH_PASSES = """
import sys
from collections import deque
from pipeline.manifest import open_manifest
with open_manifest(sys.argv[1]) as manifest:
    manifest.check()
    deque(manifest.jobs(), maxlen=0)
status = open("/proc/self/status").read()
print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)
"""


def _memory(files: _Files) -> list[Figure]:
    figures = []
    for kind, many in (("csv", MANY), ("jsonl", MANY), ("yaml", MANY_YAML_JOBS)):
        peaks = [_peak(files.named(kind, rows)) for rows in (FEW, many)]
        grown = (peaks[1] - peaks[0]) / 1e6
        claim = f"{kind.upper()}: memory from {FEW:,} to {many:,} rows"
        figures.append(at_most(claim, [grown], 20, unit="MB", peer=f"{peaks[0] / 1e6:.0f} MB at {FEW:,} rows"))
    return figures


def _peak(path: Path) -> int:
    """Bytes, as the process itself sees them: what `wait4` tells is never less than what its parent had."""
    return int(measured([sys.executable, "-c", _BOTH_PASSES, str(path)]).output)


def _first_job(files: _Files) -> list[Figure]:
    """From opening the file to its first job, where the check is done."""
    figures = []
    for kind, rows in (("csv", ROWS), ("jsonl", ROWS), ("yaml", YAML_JOBS)):
        path = files.named(kind, rows)
        samples = [_until_first(path) * 1000 for _ in range(ROUNDS)]
        figures.append(noted(f"{kind.upper()}: the first job", samples, unit="ms", peer=f"of {rows:,} rows"))
    return figures


def _until_first(path: Path) -> float:
    begun = time.perf_counter()
    with open_manifest(path) as manifest:
        next(manifest.jobs())
        return time.perf_counter() - begun


if __name__ == "__main__":
    main()
