"""How the benchmarks measure and report: variants side by side in the same run, medians and spread, one table.

A figure is a ratio to a peer or a floor that ran in the same round, or a count that no clock has a part in. Each
benchmark is a module with a `main()` that ends with `publish`; `python -m tests.benchmarks` runs them all.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

FIGURES = Path(__file__).with_name("figures")
"""One JSON file a benchmark, as last measured; `docs/benchmarks.md` is made of them."""
_ROOT = Path(__file__).resolve().parents[2]
_LIBRARIES = ("aiohttp", "msgspec", "PyYAML", "aiofiles", "click", "rich")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    claim: str
    """What was measured, in a few words with units."""
    measured: str
    goal: str
    met: bool | None
    """None where there is no goal: the line is there for comparison."""
    peer: str
    """Against what, in the same run."""
    remark: str = ""
    """Why a figure falls short, or what limits what it says."""


# -- figures --------------------------------------------------------------------------------------------------------


def at_most(
    claim: str, samples: Sequence[float], goal: float, *, peer: str, unit: str = "×", remark: str = ""
) -> Figure:
    """A figure whose median must not be above the goal."""
    met = statistics.median(samples) <= goal
    return Figure(claim, spread(samples, unit), f"≤ {goal:g} {unit}".strip(), met, peer, remark)


def at_least(
    claim: str, samples: Sequence[float], goal: float, *, peer: str, unit: str = "×", remark: str = ""
) -> Figure:
    """A figure whose median must not be below the goal."""
    met = statistics.median(samples) >= goal
    return Figure(claim, spread(samples, unit), f"≥ {goal:g} {unit}".strip(), met, peer, remark)


def noted(claim: str, samples: Sequence[float], *, peer: str, unit: str = "×", remark: str = "") -> Figure:
    """A figure without a goal."""
    return Figure(claim, spread(samples, unit), "", None, peer, remark)


def spread(samples: Sequence[float], unit: str = "") -> str:
    """`1.08 [1.05..1.12] ×`: the median and the quartiles (lowest and highest of fewer than four samples)."""
    middle = statistics.median(samples)
    low, high = min(samples), max(samples)
    if len(samples) >= 4:
        low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    text = (
        _number(middle) if len(samples) == 1 or low == high else f"{_number(middle)} [{_number(low)}..{_number(high)}]"
    )
    return f"{text} {unit}".strip()


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


# -- measuring ------------------------------------------------------------------------------------------------------


def interleaved(variants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run every variant once a round, in reversed order every other round; what they return, by variant.

    A machine that slows down or speeds up then meets all of them alike, and ratios are taken within a round.
    """
    found: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        names = list(variants) if number % 2 == 0 else list(reversed(variants))
        for name in names:
            found[name].append(variants[name]())
    return found


def ratios(samples: Sequence[float], base: Sequence[float]) -> list[float]:
    """Round by round."""
    return [one / other for one, other in zip(samples, base, strict=True)]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system, of the process and the children it waited for."""
    rss: int
    """Bytes at the peak."""
    output: str


def measured(command: Sequence[str], *, environ: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end, with what Python compiles kept. Raises RuntimeError with its last words if it fails."""
    compiled = {name: value for name, value in (environ or os.environ).items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=compiled, cwd=_ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}\n{said[-4000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, _rss(usage), said)


def _rss(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def instructions(command: Sequence[str], *, environ: Mapping[str, str] | None = None) -> int:
    """User-space instructions of a command under callgrind: the same on a busy machine as on a quiet one."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        measured(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "-q", *command], environ=environ)
        for line in out.read_text(errors="replace").splitlines():
            if line.startswith(("summary:", "totals:")):
                return int(line.split()[1])
    raise RuntimeError("callgrind wrote no total")


# -- reporting ------------------------------------------------------------------------------------------------------


def publish(name: str, title: str, method: str, figures: Sequence[Figure]) -> None:
    """Print the table and keep it for `docs/benchmarks.md`. `method` says in a paragraph how it was measured."""
    section = {
        "title": title,
        "command": f"python -m tests.benchmarks.{name}",
        "method": method,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "load": round(os.getloadavg()[2], 1),
        "machine": machine(),
        "versions": versions(),
        "figures": [asdict(figure) for figure in figures],
    }
    FIGURES.mkdir(exist_ok=True)
    text = json.dumps(section, ensure_ascii=False, indent=1)
    (FIGURES / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(table(section))


def table(section: Mapping[str, object]) -> str:
    """The section as Markdown."""
    when = str(section["date"])
    if "load" in section:
        when += f", while {section['load']} processes wanted the processor, on average"
    lines = [f"## {section['title']}", "", str(section["method"]), "", f"`{section['command']}`, {when}", ""]
    lines += ["| figure | measured | goal | met | beside |", "|---|---|---|---|---|"]
    remarks: list[str] = []
    for raw in section["figures"]:  # type: ignore[attr-defined]  # read back from JSON
        figure = Figure(**raw)
        met = {True: "yes", False: "**no**", None: ""}[figure.met]
        mark = ""
        if figure.remark:
            if figure.remark not in remarks:
                remarks.append(figure.remark)
            mark = f" ({remarks.index(figure.remark) + 1})"
        cells = (figure.claim + mark, figure.measured, figure.goal, met, figure.peer)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if remarks:
        lines += ["", *(f"({number}) {remark}" for number, remark in enumerate(remarks, 1))]
    return "\n".join([*lines, ""])


def machine() -> str:
    """Cores, processor and system, in one line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{os.cpu_count()} × {model}, {platform.system()} {platform.release()}"


def versions() -> dict[str, str]:
    """Of the interpreter and the libraries that the figures rest on."""
    return {"Python": platform.python_version(), **{name: metadata.version(name) for name in _LIBRARIES}}
