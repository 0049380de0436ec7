"""Run every benchmark, one after the other, and write `docs/benchmarks.md`; with `--write`, only write it anew."""

import json
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.harness import FIGURES, table

BENCHMARKS = (
    "polling",
    "polling_http",
    "order",
    "concurrency",
    "downloads",
    "job_cost",
    "manifests",
    "batches",
    "ledger",
    "cold_start",
    "live_view",
)
_ROOT = Path(__file__).resolve().parents[2]
_PAGE = _ROOT / "docs" / "benchmarks.md"
_HEAD = """# Benchmarks

Every figure stands beside its peer or its floor, measured in the same run, interleaved; brackets hold the quartiles.
Where rows of one table are of different runs, or runs were left out, the paragraph above the table says so. They are
ratios wherever they can be, because machines differ and this one was not always quiet. `python -m tests.benchmarks`
runs everything and writes this page, the command below each heading runs one part. Nothing here is part of the test
suite.

"""


def main() -> None:
    if "--write" not in sys.argv[1:]:
        for name in BENCHMARKS:
            print(f"== {name}", flush=True)
            subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], check=True, cwd=_ROOT)
    _PAGE.write_text(_page(), encoding="utf-8")
    print(f"written: {_PAGE.relative_to(_ROOT)}")


def _page() -> str:
    sections = [
        json.loads(path.read_text(encoding="utf-8"))
        for name in BENCHMARKS
        if (path := FIGURES / f"{name}.json").exists()
    ]
    where = sorted({(section["machine"], json.dumps(section["versions"])) for section in sections})
    lines = [
        f"Machine: {machine}. " + ", ".join(f"{k} {v}" for k, v in json.loads(versions).items())
        for machine, versions in where
    ]
    return _HEAD + "\n".join(lines) + "\n\n" + "\n".join(table(section) for section in sections)


if __name__ == "__main__":
    main()
