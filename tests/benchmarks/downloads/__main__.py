"""Measure the downloads, and write what was found."""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.downloads.server import MB, MEMORY, Host, require_programs, serving
from tests.benchmarks.downloads.server import pinned as bound
from tests.benchmarks.harness import Cost, Figure, at_least, at_most, interleaved, measured, noted, publish, ratios

LARGE, SMALL, LAG = 64, 2, 8
"""MB of a video: the issue's, a short clip's, and one in the comparison of disks."""
MANY, HASHED, TLS, CLIPS, SLOW = 16, 4, 8, 128, 8
"""How many of them."""
ROUNDS, SLOW_ROUNDS = 5, 3
SLOW_MS = 40
CURL, ARIA2C, USUAL = "curl --parallel", "aria2c -j16", "iter_chunked(64K) + aiofiles, gathered"
ALONE = {"product": "the product alone", "curl": "curl alone"}
_MODULES = {"usual": "tests.benchmarks.peers.chunked_files", "product": "tests.benchmarks.downloads.fetch"}
_SLOW_SOURCE = Path(__file__).with_name("slow_disk.c")
_SERVER_CORE, _CLIENT_CORE = (0, 1) if (os.cpu_count() or 1) > 1 else (None, None)
METHOD = (
    f"A local nginx serves from memory, pinned to one core; the client is pinned to another and writes to the disk "
    f"under the temporary folder, {ROUNDS} rounds. {MANY} × {LARGE} MB, over TLS {TLS} × {LARGE} MB, clips {CLIPS} × "
    f"{SMALL} MB. Beside curl, aria2c and the usual script, which neither hash nor flush, the product does neither; "
    f"its files are resumable, checked and renamed all the same. Time and CPU of Python programs run from the first "
    f"request to the last file; what starting Python costs stands under Cold start. For the slow disk, {SLOW} × {LAG} "
    f"MB arrive while every write and flush of a video takes {SLOW_MS} ms longer (a preloaded library), and while the "
    f"loop looks at the clock, asks and submits every 5 ms."
)


def main() -> None:
    require_programs()
    sizes = {LARGE: MANY, SMALL: CLIPS, LAG: SLOW}
    with serving(sizes, _SERVER_CORE) as host:
        figures = [*plain(host), *into_memory(host), *clips(host), *over_tls(host), *vouched_for(host)]
        figures += slow_disk(host)
    publish("downloads", "Downloads", METHOD, figures)


# -- the figures ----------------------------------------------------------------------------------------------------


def plain(host: Host) -> list[Figure]:
    """Large videos, beside everything a user might pick instead."""
    clients = Clients(f"{host.plain}/{LARGE}", MANY, LARGE)
    found = clients.compare({"curl", "product", "aria2c", "usual"})
    rates = {name: [MANY * LARGE / cost.wall for cost in costs] for name, costs in found.items()}
    cpu = {name: [cost.cpu for cost in costs] for name, costs in found.items()}
    return [
        at_least("MB/s", ratios(rates["product"], rates["curl"]), 0.9, peer=CURL),
        at_most("CPU", ratios(cpu["product"], cpu["curl"]), 1.3, peer=CURL),
        at_least("MB/s", ratios(rates["product"], rates["aria2c"]), 1, peer=ARIA2C),
        at_most("CPU", ratios(cpu["product"], cpu["aria2c"]), 1, peer=ARIA2C),
        at_least("MB/s", ratios(rates["product"], rates["usual"]), 1, peer=USUAL),
        at_most("CPU", ratios(cpu["product"], cpu["usual"]), 1, peer=USUAL),
        *(noted("MB/s", rates[name], peer=words, unit="MB/s") for name, words in ALONE.items()),
        *(noted("CPU", _by_gigabyte(cpu[name], MANY), peer=words, unit="s/GB") for name, words in ALONE.items()),
    ]


def into_memory(host: Host) -> list[Figure]:
    """The same without a disk: what the client itself can do."""
    if not MEMORY.is_dir():
        return []
    found = Clients(f"{host.plain}/{LARGE}", MANY, LARGE, place=MEMORY).compare({"curl", "product", "usual"})
    wall = {name: [cost.wall for cost in costs] for name, costs in found.items()}
    return [
        at_least("MB/s, into memory", ratios(wall["curl"], wall["product"]), 0.9, peer=CURL),
        at_least("MB/s, into memory", ratios(wall["usual"], wall["product"]), 1, peer=USUAL),
    ]


def _by_gigabyte(seconds: list[float], videos: int) -> list[float]:
    return [each / (videos * LARGE / 1000) for each in seconds]


def clips(host: Host) -> list[Figure]:
    """Short clips: what a file costs beside its bytes."""
    found = Clients(f"{host.plain}/{SMALL}", CLIPS, SMALL).compare({"curl", "product", "usual"})
    cpu = {name: [cost.cpu for cost in costs] for name, costs in found.items()}
    return [
        noted(f"CPU, clips of {SMALL} MB", ratios(cpu["product"], cpu["curl"]), peer=CURL),
        at_most(f"CPU, clips of {SMALL} MB", ratios(cpu["product"], cpu["usual"]), 1, peer=USUAL),
    ]


def over_tls(host: Host) -> list[Figure]:
    """The same over TLS."""
    clients = Clients(f"{host.tls}/{LARGE}", TLS, LARGE, host.certificate)
    found = clients.compare({"curl", "product", "usual"})
    cpu = {name: [cost.cpu for cost in costs] for name, costs in found.items()}
    wall = {name: [cost.wall for cost in costs] for name, costs in found.items()}
    return [
        at_most("CPU, TLS", ratios(cpu["product"], cpu["curl"]), 1.3, peer=CURL),
        at_least("MB/s, TLS", ratios(wall["curl"], wall["product"]), 0.9, peer=CURL),
        at_most("CPU, TLS", ratios(cpu["product"], cpu["usual"]), 1, peer=USUAL),
        at_least("MB/s, TLS", ratios(wall["usual"], wall["product"]), 1, peer=USUAL),
    ]


def vouched_for(host: Host) -> list[Figure]:
    """What hash and flush add: the product never goes without them."""
    clients = Clients(f"{host.plain}/{LARGE}", HASHED, LARGE)
    ways = {
        "bare": partial(clients.run, "product"),
        "hash": partial(clients.run, "product", "hash"),
        "both": partial(clients.run, "product", "hash", "flush"),
        "loop": _sha256_loop,
    }
    found = _rounds(ways)
    cpu = {name: [cost.cpu for cost in costs] for name, costs in found.items()}
    added = [hashed - bare for hashed, bare in zip(cpu["hash"], cpu["bare"], strict=True)]
    return [
        at_most("CPU that the hash adds", ratios(added, cpu["loop"]), 1.1, peer="sha256 of the same bytes in a loop"),
        noted("CPU with hash and flush", ratios(cpu["both"], cpu["bare"]), peer="the product without them"),
        noted("CPU with hash and flush", _by_gigabyte(cpu["both"], HASHED), peer="the product alone", unit="s/GB"),
        noted("CPU", _by_gigabyte(cpu["loop"], HASHED), peer="sha256 alone", unit="s/GB"),
    ]


def slow_disk(host: Host) -> list[Figure]:
    """What the loop, the questions and the submits notice of a disk that takes its time."""
    runs = _slow_runs(host)
    figures = []
    for words, key in (("Lag of the loop", "lags"), ("A question", "questions"), ("A submit", "submits")):
        for name, share in (("median", 50), ("p99", 99)):
            slow, quick = (_percentiles(runs[way], key, share) for way in ("slow", "quick"))
            remark = f"{statistics.median(slow):.2g} ms beside {statistics.median(quick):.2g} ms."
            claim = f"{words} while videos go to a slow disk, {name}"
            figures.append(at_most(claim, ratios(slow, quick), 1.2, peer="the same disk, quick", remark=remark))
    inline, slow = (_percentiles(runs[way], "lags", 99) for way in ("inline", "slow"))
    delays = ratios([run["seconds"] for run in runs["slow"]], [run["seconds"] for run in runs["quick"]])
    return [
        *figures,
        noted("Lag of a loop that writes itself, slow disk, p99", ratios(inline, slow), peer="the product, slow disk"),
        noted("Time of these downloads, slow disk", delays, peer="the same disk, quick"),
    ]


def _slow_runs(host: Host) -> dict[str, list[Any]]:
    """What the program says of itself, on a quick and on a slow disk, and where it writes in the loop."""
    runs: dict[str, list[Any]] = {"quick": [], "slow": [], "inline": []}
    with tempfile.TemporaryDirectory() as name:
        library = Path(name) / "slow_disk.so"
        compiling = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_SLOW_SOURCE), "-ldl"]
        subprocess.run(compiling, check=True)
        for _ in range(SLOW_ROUNDS):
            runs["quick"].append(_lags(host, None, "store"))
            runs["slow"].append(_lags(host, library, "store"))
            runs["inline"].append(_lags(host, library, "inline"))
    return runs


def _percentiles(runs: list[Any], key: str, share: int) -> list[float]:
    """Of each run, in milliseconds."""
    return [sorted(run[key])[min(len(run[key]) - 1, len(run[key]) * share // 100)] for run in runs]


# -- running --------------------------------------------------------------------------------------------------------


class Clients:
    """The programs that fetch the same videos, each in its own process and into an empty folder."""

    def __init__(
        self, base: str, count: int, size: int, certificate: Path | None = None, *, place: Path | None = None
    ) -> None:
        self._base = base
        self._place = place
        self._count = count
        self._bytes = count * size * MB
        self._certificate = certificate
        self._environ = {**os.environ, "SSL_CERT_FILE": str(certificate)} if certificate else None

    def compare(self, names: set[str]) -> dict[str, list[Cost]]:
        """Every round of each."""
        return _rounds({name: partial(self.run, name) for name in sorted(names)})

    def run(self, name: str, *words: str) -> Cost:
        """Fetch everything once. Raises RuntimeError where not all of it arrived."""
        with _folder(self._place) as folder:
            command = self._python(name, folder, words) if name in _MODULES else getattr(self, f"_{name}")(folder)
            cost = measured([*bound(_CLIENT_CORE), *command], environ=self._environ)
            if name in _MODULES:
                inner = json.loads(cost.output.splitlines()[-1])
                cost = Cost(inner["wall"], inner["cpu"], cost.rss, cost.output)
            arrived = sum(path.stat().st_size for path in folder.rglob("*.mp4"))
        if arrived != self._bytes:
            raise RuntimeError(f"{name} brought {arrived} of {self._bytes} bytes")
        return cost

    def _python(self, name: str, folder: Path, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", _MODULES[name], self._base, str(self._count), str(folder), *words]

    def _curl(self, folder: Path) -> list[str]:
        several = ["--parallel", "--parallel-immediate", "--parallel-max", "16", "--no-progress-meter"]
        trust = ["--cacert", str(self._certificate)] if self._certificate else []
        target = ["-o", f"{folder}/#1.mp4", f"{self._base}/[0-{self._count - 1}].mp4"]
        return ["curl", "--silent", "--fail", *several, *trust, *target]

    def _aria2c(self, folder: Path) -> list[str]:
        addresses = folder / "addresses.txt"
        addresses.write_text("".join(f"{self._base}/{number}.mp4\n" for number in range(self._count)), encoding="ascii")
        quietly = ["--quiet", "--no-conf", "--file-allocation=none", "--summary-interval=0"]
        return ["aria2c", *quietly, "-j16", "-x1", "-s1", "-d", str(folder), "-i", str(addresses)]


def _rounds(ways: dict[str, partial[Cost]]) -> dict[str, list[Cost]]:
    """Every way once a round, in turn."""
    costs: dict[str, list[Cost]] = {name: [] for name in ways}

    def keep(name: str) -> float:
        costs[name].append(ways[name]())
        return costs[name][-1].cpu

    interleaved({name: partial(keep, name) for name in ways}, ROUNDS)
    return costs


@contextlib.contextmanager
def _folder(place: Path | None = None) -> Iterator[Path]:
    """An empty folder on the disk; what a sample leaves to be written is thrown away before the next one."""
    folder = Path(tempfile.mkdtemp(prefix="downloads-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.sync()


def _sha256_loop() -> Cost:
    """The bytes of the hashed videos, a MiB at a time."""
    program = (
        "import hashlib, json, os; from tests.benchmarks.peers.chunked_files import Stopwatch\n"
        "block, digest, watch = os.urandom(1 << 20), hashlib.sha256(), Stopwatch()\n"
        f"for _ in range({HASHED * LARGE * MB} >> 20): digest.update(block)\n"
        "print(json.dumps(watch.read()))"
    )
    cost = measured([*bound(_CLIENT_CORE), sys.executable, "-c", program])
    inner = json.loads(cost.output)
    return Cost(inner["wall"], inner["cpu"], cost.rss, cost.output)


def _lags(host: Host, library: Path | None, way: str) -> Any:
    with _folder() as folder:
        slow = {"LD_PRELOAD": str(library), "SLOW_FOLDER": f"{folder}/videos/", "SLOW_MS": str(SLOW_MS)}
        command = [sys.executable, "-m", "tests.benchmarks.downloads.lag", host.plain, str(SLOW), str(folder), way]
        cost = measured([*bound(_CLIENT_CORE), *command], environ={**os.environ, **(slow if library else {})})
    return json.loads(cost.output)


if __name__ == "__main__":
    main()
